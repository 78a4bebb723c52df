"""Rows that choose: their labels and groups, and the folds across which the rule of choosing is tried."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from experts.bagging.folds import dealt_folds
from tasks.task import TaskView

FOLDS = 5


@dataclass(frozen=True)
class Rows:
    """Labelled rows.

    Attributes
    ----------
    labels, groups : [n] int64
        Labels in {0, 1}; group ids in 0..n_groups-1.
    n_groups : int
    fold : [n] int64
        Fold of each row.
    """

    labels: Tensor
    groups: Tensor
    n_groups: int
    fold: Tensor

    def known(self, places: Tensor) -> tuple[Tensor, Tensor, int]:
        """Labels, groups and number of groups of some rows, as the metrics want them."""
        return self.labels[places], self.groups[places], self.n_groups

    @property
    def all(self) -> Tensor:
        """[n] int64 every place."""
        return torch.arange(len(self.labels))

    def last(self, count: int) -> Rows:
        """The last rows: of training and validation rows the validation rows."""
        first = len(self.labels) - count
        return Rows(self.labels[first:], self.groups[first:], self.n_groups, self.fold[first:])


def choosing_rows(view: TaskView, seed: int, folds: int = FOLDS) -> Rows:
    """Training rows, then validation rows, as bags have them.

    Folds are dealt to the rows of each part alone, stratified by label × group, so that validation rows are in the same
    folds whether or not a method has something to say of training rows.

    Parameters
    ----------
    view : TaskView
    seed, folds : int
    """
    parts = (view.split.train, view.split.validation)
    rows = torch.cat(parts)
    fold = torch.cat([dealt_folds(view, part, folds, seed) for part in parts])
    return Rows(view.labels[rows], view.groups[rows], len(view.group_names), fold)
