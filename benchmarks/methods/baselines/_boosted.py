"""Tuned LightGBM: the space and the fit of the methods that are, or hold, boosted trees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmarks.methods.baseline import Params
from benchmarks.methods.baselines._model import ModelExpert
from experts.trees.booster import Floats, fit_trees
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def boosted_space() -> Mapping[str, BaseDistribution]:
    """Step size, size of the trees and two brakes on them."""
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        "learning_rate": FloatDistribution(0.02, 0.3, log=True),
        "num_leaves": IntDistribution(4, 64, log=True),
        "min_data_in_leaf": IntDistribution(5, 100, log=True),
        "lambda_l2": FloatDistribution(1e-3, 1e1, log=True),
        "feature_fraction": FloatDistribution(0.5, 1.0),
    }


def fit_boosted(
    view: TaskView, params: Params, seed: int, *, weights: Floats | None = None, family: str = "gbdt"
) -> ModelExpert:
    """Boosting on the training rows [r], weighted or not, stopped by the log loss of the validation rows."""
    train, watched = view.split.train, view.split.validation
    validation = (view.features[watched], view.labels[watched])
    model = fit_trees(view.features[train], view.labels[train], params, seed, weights=weights, validation=validation)
    return ModelExpert(model, family, seed, params)
