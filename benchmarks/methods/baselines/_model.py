"""What most baselines are: a fitted model of encoded features, made an expert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from benchmarks.methods.estimator_expert import encoded, sampled_shapley
from experts.saved import DESCRIPTION
from foundation.files import write_json
from tasks.task import TaskView


class Fitted(Protocol):
    """What is needed to keep a fitted model; ``kind`` is what its description calls it."""

    kind: ClassVar[str]

    @property
    def parameter_count(self) -> int:
        """Number of fitted numbers (of trees: of nodes)."""
        ...

    def write(self, folder: Path) -> None:
        """Write the weights in a safe format; never a pickle."""
        ...

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote."""
        ...


class Model(Fitted, Protocol):
    """A fitted model: margins of feature rows."""

    def margins(self, features: Tensor) -> Tensor:
        """[r] float32 margins of class 1 of feature rows [r, d]."""
        ...


@runtime_checkable
class Additive(Protocol):
    """A model whose margin is a sum over features, so that attributions need no sampling."""

    def parts(self, features: Tensor) -> Tensor:
        """[r, d] what each feature adds to the margin; 0 where it is unknown (0)."""
        ...


@runtime_checkable
class Explained(Protocol):
    """Trees, whose exact Shapley values cost one pass (TreeSHAP)."""

    def contributions(self, features: Tensor) -> Tensor:
        """[r, d] Shapley values of the features; a row sums to its margin minus the expected margin."""
        ...


class GroupModel(Fitted, Protocol):
    """A model that must know the group of a row."""

    def margins(self, features: Tensor, groups: Tensor) -> Tensor:
        """[r] float32 margins of class 1 of feature rows [r, d] of members of groups [r]."""
        ...


@dataclass(frozen=True)
class ModelExpert:
    """A model of encoded features as an expert; its settings, task and seed determine it."""

    model: Model | GroupModel
    family: str
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    role: str = "baseline"
    kind: ClassVar[str] = "baseline"

    @property
    def explainer(self) -> str:
        """How attributions are made; exact ones are those of integrated gradients too."""
        if isinstance(self.model, Additive):
            return "integrated_gradients"
        return "tree_shap" if isinstance(self.model, Explained) else "shapley_sampling"

    @property
    def parameter_count(self) -> int:
        """Number of fitted numbers."""
        return self.model.parameter_count

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] margin of class 1."""
        return self._margins(task, rows, encoded(task, rows, keep))

    def _margins(self, task: TaskView, rows: Tensor, features: Tensor) -> Tensor:  # noqa: ARG002
        margins: Tensor = self.model.margins(features)  # type: ignore[call-arg]
        return margins

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] exact for sums over features and for trees, sampled Shapley values otherwise."""
        if isinstance(self.model, Additive):
            parts = self.model.parts(task.features[rows])
        elif isinstance(self.model, Explained):
            parts = self.model.contributions(task.features[rows]).float()
        else:
            return sampled_shapley(self.logits, task, rows, self.seed)
        return torch.zeros(len(rows), len(task.columns)).index_add_(1, task.column_of_feature, parts)

    def save(self, folder: Path) -> None:
        """Write the model, and the settings that, with task and seed, determine it."""
        facts = {"family": self.family, "role": self.role, "seed": self.seed, "settings": dict(self.settings)}
        write_json(folder / DESCRIPTION, {"kind": self.kind, "model": self.model.kind, **facts})
        self.model.write(folder)

    @classmethod
    def read(cls, folder: Path, facts: Mapping[str, Any], model: type[Fitted]) -> Self:
        """What :meth:`save` wrote, by its description and the class of its model."""
        read: Any = model.read(folder)
        return cls(read, facts["family"], facts["seed"], facts["settings"], facts["role"])


@dataclass(frozen=True)
class GroupModelExpert(ModelExpert):
    """An expert that must know the group of a row: it is that of the task's ``groups``.

    Rows moved to another group (:meth:`tasks.task.TaskView.moved_to`) are treated as members of that group. The group
    is no feature: it is never masked, and attributions say nothing about it.
    """

    kind: ClassVar[str] = "group baseline"

    @property
    def knows_group(self) -> bool:
        """It is told the group of a row when it decides."""
        return True

    def _margins(self, task: TaskView, rows: Tensor, features: Tensor) -> Tensor:
        margins: Tensor = self.model.margins(features, task.groups[rows])  # type: ignore[call-arg]
        return margins
