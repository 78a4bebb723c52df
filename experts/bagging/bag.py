"""A bagged configuration: one model per fold, each row's margin by the model that has not seen it, and their mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experts.expert import Expert
from experts.saved import DESCRIPTION, part_of, read_facts
from foundation.files import write_json
from tasks.task import TaskView

KIND = "bag"


@dataclass(frozen=True, eq=False)
class BaggedExpert:
    """Models of the same configuration, each fitted without one fold; the margin is the mean of theirs.

    The attributions of a mean are the mean of the attributions, so what models explain exactly stays exact.

    Attributes
    ----------
    experts : tuple of Expert, at least one
        In the order of the folds; of one role, family and explainer.
    """

    experts: tuple[Expert, ...]

    def __post_init__(self) -> None:
        kinds = {(expert.role, expert.family, expert.explainer) for expert in self.experts}
        if len(kinds) != 1:
            raise ValueError(f"a bag holds models of one role, family and explainer, not {sorted(kinds)}")

    @property
    def role(self) -> str:
        """What its models optimise."""
        return self.experts[0].role

    @property
    def family(self) -> str:
        """What its models are."""
        return self.experts[0].family

    @property
    def explainer(self) -> str:
        """How the attributions of its models are made."""
        return self.experts[0].explainer

    @property
    def knows_group(self) -> bool:
        """Whether its models are told the group of a row."""
        return any(getattr(expert, "knows_group", False) for expert in self.experts)

    @property
    def parameter_count(self) -> int:
        """Numbers that were learnt, of models that count them."""
        return sum(int(getattr(expert, "parameter_count", 0)) for expert in self.experts)

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] mean margin of class 1; ``keep`` [r, columns] bool masks columns to unknown."""
        return _mean([expert.logits(task, rows, keep) for expert in self.experts])

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] mean attribution."""
        return _mean([expert.attributions(task, rows) for expert in self.experts])

    def save(self, folder: Path, **further: Any) -> None:
        """Write a sub-folder per model, and ``expert.json``, which also says ``further``, into an existing folder."""
        names = [f"fold_{number}" for number in range(len(self.experts))]
        for name, expert in zip(names, self.experts, strict=True):
            (folder / name).mkdir()
            expert.save(folder / name)
        facts = {"kind": KIND, "family": self.family, "role": self.role, "models": names}
        write_json(folder / DESCRIPTION, {**further, **facts})


def _mean(parts: list[Tensor]) -> Tensor:
    return torch.stack([part.detach().float() for part in parts]).mean(0)


def load_bagged(folder: Path, load: Callable[[Path], Expert]) -> BaggedExpert:
    """Read what :meth:`BaggedExpert.save` wrote; ``load`` reads a model's folder."""
    names = read_facts(folder / DESCRIPTION)["models"]
    return BaggedExpert(tuple(load(part_of(folder, name)) for name in names))


@dataclass(frozen=True, eq=False)
class Bag:
    """A member of a mixture's library.

    Attributes
    ----------
    name : str
        "gbdt/utility/3": family, role, trial of the study.
    family, role : str
    trial : int
    oof : [n] float32
        Margins of :func:`experts.bagging.folds.bag_rows`, each by the model that has not seen the row.
    expert : BaggedExpert
        What is asked about all other rows.
    """

    name: str
    family: str
    role: str
    trial: int
    oof: Tensor
    expert: BaggedExpert


def bag_name(family: str, role: str, trial: int) -> str:
    """Name of a member."""
    return f"{family}/{role}/{trial}"
