"""Logistic regression (scikit-learn), its penalty chosen on validation rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from metrics.points import point_values
from tasks.files import atomic_path, write_json
from tasks.task import TaskView

FAMILY = "linear"
PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Inverse penalty strengths C; the best validation utility wins, the stronger penalty on a tie."""


@dataclass(frozen=True)
class Linear:
    """A linear margin on the encoded features."""

    weight: Tensor  # [d]
    bias: Tensor  # []
    role: str = "baseline"
    family: str = FAMILY
    explainer: str = "integrated_gradients"  # exact for a linear margin: weight * feature

    @property
    def parameter_count(self) -> int:
        """Number of fitted numbers."""
        return self.weight.numel() + 1

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] margin of class 1."""
        features = task.features[rows]
        if keep is not None:
            features = features * keep[:, task.column_of_feature]
        return features @ self.weight + self.bias

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] summed over the features of each source column."""
        parts = task.features[rows] * self.weight
        return torch.zeros(len(rows), len(task.columns)).index_add_(1, task.column_of_feature, parts)

    def save(self, folder: Path) -> None:
        """Write weights and what they belong to."""
        with atomic_path(folder / "weights.safetensors") as path:
            save_file({"weight": self.weight, "bias": self.bias}, path)
        write_json(folder / "expert.json", {"family": self.family, "role": self.role})


def fit(view: TaskView, seed: int) -> Linear:
    """One fit per penalty on training rows; the validation rows choose."""
    train, validation = view.split.train, view.split.validation
    candidates = [_fit_one(view, train, penalty, seed) for penalty in PENALTIES]
    probability = torch.stack([torch.sigmoid(c.logits(view, validation)) for c in candidates])
    groups = len(view.group_names)
    utility = point_values(probability, view.labels[validation], view.groups[validation], groups)["utility@1"]
    return candidates[int(utility.nan_to_num(nan=-1.0).argmax())]


def _fit_one(view: TaskView, rows: Tensor, penalty: float, seed: int) -> Linear:
    from sklearn.linear_model import LogisticRegression

    model: Any = LogisticRegression(C=penalty, max_iter=3000, random_state=seed % 2**32)  # type: ignore[no-untyped-call]
    model.fit(view.features[rows].double().numpy(), view.labels[rows].numpy())
    return Linear(torch.tensor(model.coef_[0], dtype=torch.float32), torch.tensor(float(model.intercept_[0])))
