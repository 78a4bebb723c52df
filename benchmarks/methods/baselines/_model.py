"""What most baselines are: a fitted model of encoded features, made an expert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from benchmarks.methods.estimator_expert import encoded, sampled_shapley
from foundation.files import write_json
from tasks.task import TaskView


class Fitted(Protocol):
    """What is needed to keep a fitted model."""

    @property
    def parameter_count(self) -> int:
        """Number of fitted numbers (of trees: of nodes)."""
        ...

    def write(self, folder: Path) -> None:
        """Write the weights where a safe format for them exists; never a pickle."""
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
        """Write the settings that, with task and seed, determine the model, and its weights."""
        facts = {"family": self.family, "role": self.role, "seed": self.seed}
        write_json(folder / "expert.json", {**facts, **self.settings})
        self.model.write(folder)


@dataclass(frozen=True)
class GroupModelExpert(ModelExpert):
    """An expert that must know the group of a row: it is that of the task's ``groups``.

    Rows moved to another group (:meth:`tasks.task.TaskView.moved_to`) are treated as members of that group. The group
    is no feature: it is never masked, and attributions say nothing about it.
    """

    @property
    def knows_group(self) -> bool:
        """It is told the group of a row when it decides."""
        return True

    def _margins(self, task: TaskView, rows: Tensor, features: Tensor) -> Tensor:
        margins: Tensor = self.model.margins(features, task.groups[rows])  # type: ignore[call-arg]
        return margins
