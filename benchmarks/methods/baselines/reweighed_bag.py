"""Bagged LightGBM on reweighed rows: the strong control with the simplest fairness method inside."""

from __future__ import annotations

from torch import Tensor

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._bagged import BaggedMethod, best_bag
from experts.reweighing import reweighing_weights
from experts.trees.booster import Floats
from tasks.task import TaskView


def _weigh(view: TaskView, rows: Tensor) -> Floats:
    weights: Floats = reweighing_weights(view.labels[rows], view.groups[rows]).numpy()
    return weights


def fit(view: TaskView, params: Params, seed: int) -> BaggedMethod:  # noqa: ARG001 - it chooses by itself
    """Ten configurations on five folds of training and validation rows; weighted out-of-fold log loss chooses."""
    return best_bag(view, seed, _weigh, "reweighing")


METHOD = Baseline(
    label="Reweighing (bag)",
    about="the best of ten reweighed tree models, bagged over five folds",
    family="reweighing",
    reference="Kamiran and Calders, Data Preprocessing Techniques for Classification without Discrimination, "
    "Knowledge and Information Systems 2012, on bagged LightGBM",
    fit=fit,
    fair=True,
    colour="orange",
    explainer="tree_shap",
    place=52,
    seconds=(2.0, 8.0),
    once=True,
    levels=(("rival", "oof"), ("rival", "thresholds")),
)
