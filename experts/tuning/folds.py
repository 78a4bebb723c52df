"""Folds of the training rows, the same for every family: what experts say of rows that they have not seen."""

from __future__ import annotations

from torch import Tensor

from experts.bagging.folds import dealt_folds
from tasks.task import TaskView


def fold_of_rows(view: TaskView, folds: int, seed: int) -> Tensor:
    """[n_train] int64 fold of each training row; see :func:`experts.bagging.folds.dealt_folds`."""
    return dealt_folds(view, view.split.train, folds, seed)
