"""The constant predictor: the training rows' base rate for everybody.

It wins every disparity column and must therefore stand in every table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from benchmarks.methods.baseline import Baseline, Params
from experts.saved import DESCRIPTION
from foundation.files import write_json
from tasks.task import TaskView


@dataclass(frozen=True)
class Constant:
    """An expert with one logit for every row."""

    margin: float
    role: str = "baseline"
    family: str = "constant"
    explainer: str = "integrated_gradients"  # exact: no column moves a constant
    parameter_count: int = 1
    kind: ClassVar[str] = "constant"

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """[r] the same margin for every row."""
        return torch.full((len(rows),), self.margin)

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] zeros."""
        return torch.zeros(len(rows), len(task.columns))

    def save(self, folder: Path) -> None:
        """Write the margin."""
        facts = {"kind": self.kind, "family": self.family, "role": self.role, "margin": self.margin}
        write_json(folder / DESCRIPTION, facts)

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Self:
        """What :meth:`save` wrote, from its description."""
        return cls(float(facts["margin"]), facts["role"], facts["family"])


def fit(view: TaskView, params: Params, seed: int) -> Constant:  # noqa: ARG001
    """Logit of the training rows' share of class 1."""
    share = view.labels[view.split.train].double().mean()
    return Constant(float(torch.logit(share)))


METHOD = Baseline(
    label="Constant predictor",
    about="the same answer for everyone",
    family="constant",
    reference="the least that any method must beat",
    fit=fit,
    colour="grey",
    explainer="integrated_gradients",
    place=10,
    seconds=(0.0, 0.0),
    landmark=True,
)
