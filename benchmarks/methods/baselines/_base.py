"""The plain model under a fairness method: logistic regression or boosted trees, by a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.methods.baseline import Params
from benchmarks.methods.baselines._linear import LinearModel, fit_linear
from benchmarks.methods.estimator_expert import Floats
from experts.trees.booster import TreeModel, fit_trees

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from torch import Tensor

LEARNING_RATE = 0.1
KINDS: Mapping[str, type[LinearModel] | type[TreeModel]] = {
    LinearModel.kind: LinearModel, TreeModel.kind: TreeModel,
}  # fmt: skip


def read_base(folder: Path, kind: str) -> LinearModel | TreeModel:
    """A plain model that was written into a folder, by its kind."""
    return KINDS[kind].read(folder)


def base_space() -> Mapping[str, BaseDistribution]:
    """Kind of the model, the penalty of the linear one and the size of the trees."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    return {
        "base": CategoricalDistribution(("lightgbm", "logistic_regression")),
        "C": FloatDistribution(1e-3, 1e1, log=True),
        "num_leaves": IntDistribution(4, 32, log=True),
    }


def fit_base(
    features: Tensor,
    labels: Tensor,
    params: Params,
    seed: int,
    *,
    weights: Floats | None = None,
    validation: tuple[Tensor, Tensor] | None = None,
) -> LinearModel | TreeModel:
    """The model that ``params["base"]`` names; validation rows stop the boosting.

    Arguments are those of :func:`experts.trees.booster.fit_trees`.
    """
    if params["base"] == "logistic_regression":
        return fit_linear(features, labels, params["C"], weights)
    settings = {"learning_rate": LEARNING_RATE, "num_leaves": params["num_leaves"]}
    return fit_trees(features, labels, settings, seed, weights=weights, validation=validation)
