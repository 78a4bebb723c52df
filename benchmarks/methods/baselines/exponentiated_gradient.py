"""ExponentiatedGradient (fairlearn) on logistic regression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._model import ModelExpert
from benchmarks.methods.baselines._reductions import CONSTRAINTS, LogisticOracle, exponentiated_gradient, linear_votes
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

MAX_ITER = 20
"""Iterations at most; two groups take 5 to 10, ten groups would take 50 and more."""


def space() -> Mapping[str, BaseDistribution]:
    """The constraint, the gap that it allows, and the penalty of the linear classifiers."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        "constraint": CategoricalDistribution(CONSTRAINTS),
        "eps": FloatDistribution(2e-3, 0.2, log=True),
        "C": FloatDistribution(1e-3, 1e1, log=True),
    }


def fit(view: TaskView, params: Params, seed: int) -> ModelExpert:
    """The reduction on the training rows; it draws nothing, whatever the seed.

    It is a randomised predictor; its score is the probability of deciding for class 1.
    """
    oracle = LogisticOracle(params["C"])
    reduction = exponentiated_gradient(view, oracle, params["constraint"], params["eps"], MAX_ITER)
    return ModelExpert(linear_votes(reduction, view.features.shape[1]), "reduction", seed, params)


METHOD = Baseline(
    label="ExponentiatedGradient (linear)",
    about="a random choice among reweighted linear models",
    family="reduction",
    reference="Agarwal et al., A Reductions Approach to Fair Classification, ICML 2018; fairlearn",
    fit=fit,
    space=space,
    fair=True,
    scores_decisions=True,
    colour="orange",
    explainer="shapley_sampling",
    place=60,
    seconds=(0.45, 0.2),
    levels=(("rival", "plain"),),
)
