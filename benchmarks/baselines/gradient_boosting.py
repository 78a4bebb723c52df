"""Gradient-boosted trees (scikit-learn HistGradientBoosting), tuned on validation rows.

Trees have no gradient in their inputs, so their attributions are sampled Shapley values of source columns from the
same baseline (all columns unknown) that integrated gradients start from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metrics.points import point_values
from metrics.shapley import shapley_columns
from tasks.files import write_json
from tasks.seeding import derive_seed
from tasks.task import TaskView

FAMILY = "gbdt"
GRID = (
    {"learning_rate": 0.1, "max_leaf_nodes": 7},
    {"learning_rate": 0.1, "max_leaf_nodes": 31},
    {"learning_rate": 0.05, "max_leaf_nodes": 31},
)
ITERATIONS = 200
PATIENCE = 15


@dataclass(frozen=True)
class Boosted:
    """A fitted HistGradientBoostingClassifier as an expert."""

    model: Any
    settings: dict[str, Any]
    seed: int
    role: str = "baseline"
    family: str = FAMILY
    explainer: str = "shapley_sampling"

    @property
    def parameter_count(self) -> int:
        """Number of tree nodes."""
        return sum(len(tree.nodes) for stage in self.model._predictors for tree in stage)

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] raw score of class 1."""
        features = task.features[rows]
        if keep is not None:
            features = features * keep[:, task.column_of_feature]
        return torch.from_numpy(self.model.decision_function(features.numpy())).float()

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] sampled Shapley values."""
        return shapley_columns(
            lambda picked, keep: self.logits(task, rows[picked], keep), len(rows), len(task.columns), seed=self.seed
        )

    def save(self, folder: Path) -> None:
        """Write the settings that, with task and seed, determine the trees (no pickle)."""
        write_json(
            folder / "expert.json", {"family": self.family, "role": self.role, "seed": self.seed, **self.settings}
        )


def fit(view: TaskView, seed: int) -> Boosted:
    """One fit per setting with early stopping on a part of the training rows; the validation rows choose."""
    validation = view.split.validation
    candidates = [_fit_one(view, settings, derive_seed(seed, "gradient_boosting")) for settings in GRID]
    probability = torch.stack([torch.sigmoid(c.logits(view, validation)) for c in candidates])
    groups = len(view.group_names)
    utility = point_values(probability, view.labels[validation], view.groups[validation], groups)["utility@1"]
    return candidates[int(utility.nan_to_num(nan=-1.0).argmax())]


def _fit_one(view: TaskView, settings: dict[str, Any], seed: int) -> Boosted:
    from sklearn.ensemble import HistGradientBoostingClassifier

    train = view.split.train
    model: Any = HistGradientBoostingClassifier(  # type: ignore[no-untyped-call]
        max_iter=ITERATIONS, early_stopping=True, n_iter_no_change=PATIENCE, random_state=seed % 2**32, **settings
    )
    model.fit(view.features[train].numpy(), view.labels[train].numpy())
    return Boosted(model, settings, seed)
