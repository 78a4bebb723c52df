"""Stratified folds, dealt by a seeded hash: the same on every machine and for every family."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from tasks.task import TaskView


def dealt_folds(view: TaskView, rows: Tensor, folds: int, seed: int) -> Tensor:
    """[r] int64 fold of each of some rows, stratified by label × group.

    Within a cell rows are dealt out in the order of a seeded hash of their position, and the next cell goes on where
    the last one ended: cells and folds are as equal in size as they can be.

    Parameters
    ----------
    view : TaskView
    rows : [r] int64
        Labelled rows.
    folds, seed : int

    Raises
    ------
    ValueError
        If there are fewer than two folds, or fewer rows than folds.
    """
    if not 2 <= folds <= len(rows):
        raise ValueError(f"{folds} folds of {len(rows)} training rows cannot be made; use 2 to {len(rows)} folds.")
    cells = (view.labels[rows] * len(view.group_names) + view.groups[rows]).tolist()
    order = sorted(range(len(rows)), key=lambda i: (cells[i], _hash(seed, int(rows[i]))))
    fold = torch.empty(len(rows), dtype=torch.int64)
    fold[order] = torch.arange(len(rows)) % folds
    return fold


def _hash(seed: int, row: int) -> bytes:
    return hashlib.sha256(f"{seed}:fold:{row}".encode()).digest()


def bag_rows(view: TaskView) -> Tensor:
    """[n] int64 rows that a bag is made of: training rows, then validation rows."""
    return torch.cat([view.split.train, view.split.validation])


def bag_folds(view: TaskView, folds: int, seed: int) -> Tensor:
    """[n] int64 fold of each of :func:`bag_rows`, dealt as :func:`dealt_folds` does."""
    return dealt_folds(view, bag_rows(view), folds, seed)
