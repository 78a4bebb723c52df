"""Folds of the training rows, the same for every family: what experts say of rows that they have not seen."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from tasks.task import TaskView


def fold_of_rows(view: TaskView, folds: int, seed: int) -> Tensor:
    """[n_train] int64 fold of each training row, stratified by label × group.

    Within a cell rows are dealt out in the order of a seeded hash of their position, and the next cell goes on where
    the last one ended: cells and folds are as equal in size as they can be.

    Raises
    ------
    ValueError
        If there are fewer than two folds, or fewer training rows than folds.
    """
    train = view.split.train
    if not 2 <= folds <= len(train):
        raise ValueError(f"{folds} folds of {len(train)} training rows cannot be made; use 2 to {len(train)} folds.")
    cells = (view.labels[train] * len(view.group_names) + view.groups[train]).tolist()
    order = sorted(range(len(train)), key=lambda i: (cells[i], _hash(seed, int(train[i]))))
    fold = torch.empty(len(train), dtype=torch.int64)
    fold[order] = torch.arange(len(train)) % folds
    return fold


def _hash(seed: int, row: int) -> bytes:
    return hashlib.sha256(f"{seed}:fold:{row}".encode()).digest()
