"""Logistic regression on encoded features, for the baselines that stand on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from benchmarks.methods.estimator_expert import Floats
from experts.saved import WEIGHTS, read_weights, write_weights


@dataclass(frozen=True)
class LinearModel:
    """A linear margin."""

    weight: Tensor  # [d] float32
    bias: Tensor  # []
    kind: ClassVar[str] = "linear"

    @property
    def parameter_count(self) -> int:
        """Weights and bias."""
        return self.weight.numel() + 1

    def margins(self, features: Tensor) -> Tensor:
        """[r] margins of class 1."""
        return features @ self.weight + self.bias

    def parts(self, features: Tensor) -> Tensor:
        """[r, d] weight times feature."""
        return features * self.weight

    def write(self, folder: Path) -> None:
        """Write the weights as safetensors."""
        weights = {"weight": self.weight, "bias": self.bias}
        write_weights(folder / WEIGHTS, weights)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote."""
        weights = read_weights(folder / WEIGHTS)
        return cls(weights["weight"], weights["bias"])


def fit_linear(features: Tensor, labels: Tensor, C: float, weights: Floats | None = None) -> LinearModel:
    """L2-penalised logistic regression.

    Parameters
    ----------
    features : [r, d] float
    labels : [r] int64 in {0, 1}, both present
    C : float
        Inverse strength of the penalty, as in scikit-learn; the bias is not penalised.
    weights : [r] float64, optional
        Of the rows.
    """
    from sklearn.linear_model import LogisticRegression

    model: Any = LogisticRegression(C=C, solver="newton-cholesky")  # type: ignore[no-untyped-call]
    model.fit(features.double().numpy(), labels.numpy(), sample_weight=weights)
    weight = torch.from_numpy(model.coef_[0]).float()  # in torch's memory: see experts.linear.logistic.minimise
    return LinearModel(weight, torch.tensor(float(model.intercept_[0])))
