"""Logistic regression (scikit-learn), its penalty tuned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._linear import fit_linear
from benchmarks.methods.baselines._model import ModelExpert
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def space() -> Mapping[str, BaseDistribution]:
    """C, the inverse strength of the L2 penalty."""
    from optuna.distributions import FloatDistribution

    return {"C": FloatDistribution(1e-4, 1e2, log=True)}


def fit(view: TaskView, params: Params, seed: int) -> ModelExpert:
    """One fit on the training rows; its optimum is unique, whatever the seed."""
    train = view.split.train
    model = fit_linear(view.features[train], view.labels[train], params["C"])
    return ModelExpert(model, "linear", seed, params)


METHOD = Baseline(
    label="Logistic regression",
    about="plain, without a fairness method",
    family="linear",
    reference="Cox, The Regression Analysis of Binary Sequences, JRSS B 1958; scikit-learn LogisticRegression",
    fit=fit,
    space=space,
    colour="grey",
    explainer="integrated_gradients",
    place=20,
    seconds=(0.01, 0.01),
    landmark=True,
    levels=(("reference", "thresholds"),),
)
