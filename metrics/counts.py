"""Count tables: rows per (group, label, prediction), from which every confusion-matrix metric follows."""

from __future__ import annotations

import torch
from torch import Tensor

_BLOCK = 1 << 16  # rows per matrix product: the comparison result of 50 vectors stays in cache


def as_predictions(probability: Tensor) -> Tensor:
    """[..., n] bool predictions: 1 iff the probability exceeds 0.5; bool and int are predictions already."""
    return probability > 0.5 if probability.is_floating_point() else probability.to(torch.bool)


def cell_totals(labels: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """[g, 2] float64 rows of each (group, label): what every prediction vector on these rows shares."""
    if bool((labels.amin() < 0) | (labels.amax() > 1) | (groups.amin() < 0)):
        raise ValueError(
            f"labels reach from {int(labels.min())} to {int(labels.max())}, group ids from {int(groups.min())}; labels "
            "must be 0 or 1 and ids at least 0. Label -1 means hidden: rows of the test part are scored with Task.labels"
        )
    totals = torch.bincount(groups * 2 + labels, minlength=2 * n_groups)
    if totals.numel() != 2 * n_groups:
        raise ValueError(f"group ids reach {int(groups.max())} but n_groups is {n_groups}; ids are 0..n_groups-1")
    return totals.view(n_groups, 2).to(torch.float64)


def count_table(probability: Tensor, labels: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """Rows per (group, label, prediction) of K prediction vectors, by one matrix product.

    Parameters
    ----------
    probability : [K, n] float, bool or int
        Probabilities of class 1 (cut at 0.5, a tie is class 0) or hard predictions.
    labels, groups : [n] int64
        Labels in {0, 1} and group ids in 0..n_groups-1.

    Returns
    -------
    [K, g, 2, 2] float64, exact: ``table[k, group, label, prediction]``.

    Raises
    ------
    ValueError
        If a label is not 0 or 1, or a group id is not in 0..n_groups-1.
    """
    totals = cell_totals(labels, groups, n_groups)
    cells = groups * 2 + labels
    positive = torch.zeros(probability.shape[0], 2 * n_groups, dtype=torch.float64, device=probability.device)
    for start in range(0, labels.numel(), _BLOCK):
        block = slice(start, start + _BLOCK)
        members = torch.nn.functional.one_hot(cells[block], 2 * n_groups).to(torch.float32)
        positive += as_predictions(probability[:, block]).to(torch.float32) @ members
    positive = positive.view(-1, n_groups, 2)
    return torch.stack((totals - positive, positive), -1)
