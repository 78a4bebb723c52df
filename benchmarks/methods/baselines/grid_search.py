"""GridSearch (fairlearn): one linear classifier per point of a grid of multipliers, the best compromise is kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import comb
from typing import TYPE_CHECKING, Any

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._model import ModelExpert
from benchmarks.methods.baselines._reductions import CONSTRAINTS, LogisticOracle, linear_of, moment, training_arrays
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

POINTS = 13
"""Points of the grid, unless one step along each axis already takes more."""


def space() -> Mapping[str, BaseDistribution]:
    """The constraint, what it weighs in the choice among points, how far the grid reaches, and the penalty."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        "constraint": CategoricalDistribution(CONSTRAINTS),
        "constraint_weight": FloatDistribution(0.1, 0.9),
        "grid_limit": FloatDistribution(0.05, 5.0, log=True),
        "C": FloatDistribution(1e-3, 1e1, log=True),
    }


def lattice_points(dimensions: int, units: int) -> int:
    """Number of integer points of L1 norm at most ``units``."""
    return sum(2**k * comb(dimensions, k) * comb(units, k) for k in range(units + 1))


def grid_size(dimensions: int) -> int:
    """Points of the largest whole lattice with at most ``POINTS``; at least one step along each axis.

    fairlearn cuts a lattice that has more points than asked for, which would leave some directions out.
    """
    units = 1
    while lattice_points(dimensions, units + 1) <= POINTS:
        units += 1
    return lattice_points(dimensions, units)


def fit(view: TaskView, params: Params, seed: int) -> ModelExpert:
    """The grid on the training rows; it draws nothing, whatever the seed. The kept classifier gives probabilities."""
    from fairlearn.reductions import GridSearch

    features, labels, groups = training_arrays(view)
    events = 1 if params["constraint"] == "demographic_parity" else 2
    reduction: Any = GridSearch(  # type: ignore[no-untyped-call]
        LogisticOracle(params["C"]),
        moment(params["constraint"]),
        constraint_weight=params["constraint_weight"],
        grid_limit=params["grid_limit"],
        grid_size=grid_size(events * (len(set(groups.tolist())) - 1)),
    )
    with _quiet_fairlearn():
        reduction.fit(features, labels, sensitive_features=groups)
    model = linear_of(reduction.predictors_[reduction.best_idx_], features.shape[1])
    return ModelExpert(model, "reduction", seed, params)


@contextmanager
def _quiet_fairlearn() -> Iterator[None]:
    """Without its advice about grids of many dimensions, which holds for every task of many groups."""
    logger = logging.getLogger("fairlearn")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


METHOD = Baseline(
    label="GridSearch (linear)",
    about="the best of a grid of linear models",
    family="reduction",
    reference="Agarwal, Dudik and Wu, Fair Regression: Quantitative Definitions and Reduction-Based Algorithms, ICML "
    "2019; Agarwal et al., ICML 2018; fairlearn",
    fit=fit,
    space=space,
    fair=True,
    colour="orange",
    explainer="integrated_gradients",
    place=80,
    seconds=(0.07, 0.06),
    secondary=True,
)
