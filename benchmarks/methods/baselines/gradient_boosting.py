"""Gradient-boosted trees (scikit-learn HistGradientBoosting)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._histogram import Forest
from benchmarks.methods.baselines._model import ModelExpert
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

ITERATIONS, PATIENCE = 100, 15


@dataclass(frozen=True)
class HistogramTrees:
    """A fitted HistGradientBoostingClassifier, or the arrays that were kept of one."""

    model: Any
    kind: ClassVar[str] = "histogram trees"

    @property
    def parameter_count(self) -> int:
        """Number of tree nodes."""
        return self._forest.nodes

    def margins(self, features: Tensor) -> Tensor:
        """[r] raw scores of class 1."""
        return torch.from_numpy(self.model.decision_function(features.numpy())).float()

    def write(self, folder: Path) -> None:
        """Write the trees as arrays."""
        self._forest.write(folder)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What :meth:`write` wrote."""
        return cls(Forest.read(folder))

    @property
    def _forest(self) -> Forest:
        return self.model if isinstance(self.model, Forest) else Forest.of(self.model)


def space() -> Mapping[str, BaseDistribution]:
    """Step size, size of the trees and a brake on them."""
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        "learning_rate": FloatDistribution(0.05, 0.3, log=True),
        "max_leaf_nodes": IntDistribution(4, 32, log=True),
        "min_samples_leaf": IntDistribution(5, 100, log=True),
        "l2_regularization": FloatDistribution(1e-3, 1e1, log=True),
    }


def fit(view: TaskView, params: Params, seed: int) -> ModelExpert:
    """Boosting on the training rows, stopped by the log loss of the validation rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model: Any = HistGradientBoostingClassifier(  # type: ignore[no-untyped-call]
        max_iter=ITERATIONS, early_stopping=True, n_iter_no_change=PATIENCE, random_state=seed % 2**32, **params
    )
    train, watched = (
        (view.features[r].numpy(), view.labels[r].numpy()) for r in (view.split.train, view.split.validation)
    )
    model.fit(*train, X_val=watched[0], y_val=watched[1])
    return ModelExpert(HistogramTrees(model), "gbdt", seed, params)


METHOD = Baseline(
    label="HistGradientBoosting",
    about="plain trees, no fairness method",
    family="gbdt",
    reference="Friedman, Greedy Function Approximation, Annals of Statistics 2001; scikit-learn "
    "HistGradientBoostingClassifier",
    fit=fit,
    space=space,
    colour="ink",
    explainer="shapley_sampling",
    place=30,
    seconds=(0.1, 0.25),
    landmark=True,
    levels=(("rival", "thresholds"), ("reference", "thresholds")),
)
