"""Reweighing: rows are weighted so that group and label are independent, then a plain model is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmarks.methods.baseline import Baseline, Params
from benchmarks.methods.baselines._base import base_space, fit_base
from benchmarks.methods.baselines._model import ModelExpert
from experts.reweighing import reweighing_weights
from experts.trees.fitting import watched_rows
from tasks.task import TaskView

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def space() -> Mapping[str, BaseDistribution]:
    """Of the plain model; the weights have nothing to tune."""
    return base_space()


def fit(view: TaskView, params: Params, seed: int) -> ModelExpert:
    """The plain model on weighted training rows; validation rows stop the boosting, unweighted."""
    train = view.split.train
    labels = view.labels[train]
    weights = reweighing_weights(labels, view.groups[train]).numpy()
    model = fit_base(view.features[train], labels, params, seed, weights=weights, validation=watched_rows(view))
    return ModelExpert(model, "reweighing", seed, params)


METHOD = Baseline(
    label="Reweighing",
    about="row weights make group and label independent",
    family="reweighing",
    reference="Kamiran and Calders, Data Preprocessing Techniques for Classification without Discrimination, "
    "Knowledge and Information Systems 2012",
    fit=fit,
    space=space,
    fair=True,
    colour="orange",
    explainer="integrated_gradients or tree_shap",
    place=50,
    seconds=(0.01, 0.01),
)
