"""Bagged LightGBM: the strong control, all that trees give without a mixture."""

from __future__ import annotations

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._bagged import BaggedMethod, best_bag
from tasks.task import TaskView


def fit(view: TaskView, params: Params, seed: int) -> BaggedMethod:  # noqa: ARG001 - it chooses by itself
    """Ten configurations on five folds of training and validation rows; out-of-fold log loss chooses."""
    return best_bag(view, seed)


METHOD = Baseline(
    label="LightGBM (bag)",
    about="the best of ten plain tree models, bagged over five folds",
    family="gbdt",
    reference="Ke et al., LightGBM: A Highly Efficient Gradient Boosting Decision Tree, NeurIPS 2017; Breiman, Bagging "
    "Predictors, Machine Learning 1996",
    fit=fit,
    colour="ink",
    explainer="tree_shap",
    place=41,
    seconds=(2.0, 8.0),
    once=True,
    levels=(("rival", "oof"), ("rival", "thresholds")),
)
