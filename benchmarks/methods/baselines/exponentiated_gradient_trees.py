"""ExponentiatedGradient (fairlearn) on small LightGBM trees: constrained boosting by reductions.

FairGBM (Cruz et al., ICLR 2023) puts constraints into the boosting itself. Its package has had no release since 2023
and is not used here; the reduction reaches the same constraints with any maintained booster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._model import ModelExpert
from benchmarks.methods.baselines._reductions import CONSTRAINTS, TreesOracle, exponentiated_gradient, tree_votes
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

MAX_ITER = 20
"""Iterations at most; two groups take 5 to 10, ten groups would take 50 and more."""
ROUNDS = 40
LEARNING_RATE = 0.15


def space() -> Mapping[str, BaseDistribution]:
    """The constraint, the gap that it allows, and the size of the trees."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    return {
        "constraint": CategoricalDistribution(CONSTRAINTS),
        "eps": FloatDistribution(2e-3, 0.2, log=True),
        "num_leaves": IntDistribution(3, 16, log=True),
        "lambda_l2": FloatDistribution(1e-3, 1e1, log=True),
    }


def fit(view: TaskView, params: Params, seed: int) -> ModelExpert:
    """The reduction on the training rows.

    It is a randomised predictor; its score is the probability of deciding for class 1.
    """
    settings = {
        "num_leaves": params["num_leaves"], "lambda_l2": params["lambda_l2"], "learning_rate": LEARNING_RATE,
        "seed": seed % 2**31,
    }  # fmt: skip
    oracle = TreesOracle(settings, ROUNDS)
    reduction = exponentiated_gradient(view, oracle, params["constraint"], params["eps"], MAX_ITER)
    return ModelExpert(tree_votes(reduction), "reduction", seed, params)


METHOD = Baseline(
    label="ExponentiatedGradient (trees)",
    about="a random choice among reweighted small trees",
    family="reduction",
    reference="Agarwal et al., A Reductions Approach to Fair Classification, ICML 2018, on LightGBM. Constrained "
    "boosting as in FairGBM (Cruz et al., ICLR 2023), whose package has had no release since 2023 and is not used",
    fit=fit,
    space=space,
    fair=True,
    scores_decisions=True,
    colour="orange",
    explainer="shapley_sampling",
    place=70,
    seconds=(0.45, 0.75),
    secondary=True,
    levels=(("rival", "plain"),),
)
