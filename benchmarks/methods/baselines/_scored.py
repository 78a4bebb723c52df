"""One plain model for the methods that only move its decisions: boosted trees, and scores of rows it has not seen.

Rules are fitted on scores of training rows by models that have not seen them (three folds): rules for the scores of
fitted rows would not transfer. Validation rows stop the boosting, and choose among rules.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.methods.estimator_expert import Floats
from experts.trees.booster import TreeModel, fit_trees
from experts.trees.fitting import watched_rows
from experts.tuning.folds import fold_of_rows
from tasks.task import TaskView

FOLDS = 3
SETTINGS = {"learning_rate": 0.05, "num_leaves": 8, "min_data_in_leaf": 20, "lambda_l2": 1.0}
"""Small trees: early stopping decides how many; nothing is drawn, so that the seed changes nothing."""


@dataclass(frozen=True)
class Scored:
    """The plain model of a task and what it says of rows that it has not seen.

    Attributes
    ----------
    base : TreeModel
        Fitted on all training rows.
    chance : [n] float64
        Probability of class 1 of the training rows, in their order, each by a model that has not seen the row.
    labels, groups : [n] int64
        Groups are numbered among those that have training rows: ``present[groups]`` are the task's own numbers.
    present : [k] int64
    """

    base: TreeModel
    chance: Floats
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    present: Tensor


_last: list[tuple[weakref.ref[TaskView], Scored]] = []
"""The last task and its model: all trials of the methods here stand on the same one."""


def scored(view: TaskView) -> Scored:
    """The plain model of a task; fitted once for a view, however many rules are tried on it."""
    if not (_last and _last[0][0]() is view):
        _last[:] = [(weakref.ref(view), _scored(view))]
    return _last[0][1]


def _scored(view: TaskView) -> Scored:
    train = view.split.train
    margins = torch.empty(len(train))
    fold = fold_of_rows(view, FOLDS, 0)
    for number in range(FOLDS):
        unseen = fold == number
        margins[unseen] = _fit(view, train[~unseen]).margins(view.features[train[unseen]])
    present, groups = np.unique(view.groups[train].numpy(), return_inverse=True)
    chance: Floats = torch.sigmoid(margins.double()).numpy()
    return Scored(_fit(view, train), chance, view.labels[train].numpy(), groups, torch.from_numpy(present))


def _fit(view: TaskView, rows: Tensor) -> TreeModel:
    return fit_trees(view.features[rows], view.labels[rows], SETTINGS, 0, validation=watched_rows(view))
