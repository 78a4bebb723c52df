"""Tuned LightGBM: the fit of the methods that are, or hold, boosted trees."""

from __future__ import annotations

from benchmarks.methods.baseline import Params
from benchmarks.methods.baselines._model import ModelExpert
from experts.trees.booster import Floats
from experts.trees.fitting import fit_plain
from tasks.task import TaskView


def fit_boosted(
    view: TaskView, params: Params, seed: int, *, weights: Floats | None = None, family: str = "gbdt"
) -> ModelExpert:
    """The family's plain trees, as a baseline; see :func:`experts.trees.fitting.fit_plain`."""
    return ModelExpert(fit_plain(view, params, seed, weights), family, seed, params)
