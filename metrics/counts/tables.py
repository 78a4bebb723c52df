"""Count tables: rows per (group, label, prediction), from which every confusion-matrix metric follows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
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
            "must be 0 or 1 and ids at least 0. Label -1 means hidden: score test rows with Task.labels"
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


def soft_counts(probability: Tensor, labels: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """[..., g, 2, 2] sums of P(prediction) per (group, label) of probabilities [..., n]: a differentiable count table.

    With probabilities 0 and 1 it is the table of :func:`count_table`.
    """
    members = torch.nn.functional.one_hot(groups * 2 + labels, 2 * n_groups).to(probability.dtype)
    positive = (probability @ members).view(*probability.shape[:-1], n_groups, 2)
    return torch.stack((members.sum(0).view(n_groups, 2) - positive, positive), -1)


def resample_counts(table: Tensor, draws: int, generator: np.random.Generator) -> Tensor:
    """Count tables of bootstrap samples of the rows, without touching rows.

    Drawing n rows with replacement and counting is the same in law as one multinomial draw over the cells. Its
    margin, the rows per (group, label), does not depend on the prediction: it is drawn once for all K vectors, then
    the predicted positives of each cell are binomial. Cost: draws x cells, whatever n is.

    Parameters
    ----------
    table : [K, g, 2, 2] from :func:`count_table`
    draws : int
        B, the number of bootstrap samples.

    Returns
    -------
    [K, B, g, 2, 2] float64
    """
    totals, positive = _margins(table)
    rows = totals.sum()
    margin = generator.multinomial(int(rows), totals / rows, size=draws)
    share = np.divide(positive, totals, out=np.zeros(positive.shape), where=totals > 0)
    drawn = generator.binomial(margin, share[:, None, :])
    return _tables(margin, drawn, table.shape[1])


def permute_counts(table: Tensor, permutations: int, generator: np.random.Generator) -> Tensor:
    """Count tables when group membership is shuffled over the rows and labels and predictions stay.

    In law a multivariate hypergeometric draw given the group sizes: first the rows with label 1 that each group gets
    (shared by all K vectors), then, within a label, how many of them are predicted positives. Cost independent of n.

    Parameters
    ----------
    table : [K, g, 2, 2] from :func:`count_table`
    permutations : int
        P, the number of shuffles.

    Returns
    -------
    [K, P, g, 2, 2] float64
    """
    totals, positive = _margins(table)
    sizes = np.broadcast_to(totals.reshape(-1, 2).sum(1).astype(np.int64), (permutations, table.shape[1]))
    ones = _deal(np.full(permutations, totals[1::2].sum(), dtype=np.int64), sizes, generator)
    margin = np.stack((sizes - ones, ones), -1)
    of_label = positive.reshape(len(table), -1, 2).sum(1).astype(np.int64)
    shape = (len(table), *sizes.shape)
    drawn = np.empty((*shape, 2), dtype=np.int64)
    for label in (0, 1):
        marked = np.repeat(of_label[:, None, label], permutations, 1)
        drawn[..., label] = _deal(marked, np.broadcast_to(margin[..., label], shape), generator)
    return _tables(margin.reshape(permutations, -1), drawn.reshape(*shape[:2], -1), table.shape[1])


def paired_counts(first: Tensor, second: Tensor, labels: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """[g, 2, 2, 2] float64 rows per (group, label, first prediction, second prediction) of two [n] vectors."""
    totals = cell_totals(labels, groups, n_groups)  # checks labels and ids
    both = as_predictions(first).to(torch.int64) * 2 + as_predictions(second).to(torch.int64)
    cells = torch.bincount((groups * 2 + labels) * 4 + both, minlength=4 * totals.numel())
    return cells.view(n_groups, 2, 2, 2).to(torch.float64)


def resample_paired(table: Tensor, draws: int, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Count tables [B, g, 2, 2] of both models on the same bootstrap samples, from ``paired_counts``.

    Differences of any count metric between the two, draw by draw, give the interval of the paired difference.
    """
    cells = table.flatten().numpy()
    drawn = generator.multinomial(int(cells.sum()), cells / cells.sum(), size=draws)
    joint = torch.from_numpy(drawn).to(torch.float64).view(draws, *table.shape)
    return joint.sum(-1), joint.sum(-2)


def _margins(table: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows per (group, label) [2g], which all vectors share, and predicted positives [K, 2g]."""
    counts = table.numpy()
    return counts[0].sum(-1).ravel(), counts[..., 1].reshape(len(counts), -1)


def _tables(margin: NDArray[np.int64], positive: NDArray[np.int64], n_groups: int) -> Tensor:
    """[K, B, g, 2, 2] tables of margins [B, 2g] and predicted positives [K, B, 2g]."""
    pair = np.empty((*positive.shape, 2))
    np.subtract(margin, positive, out=pair[..., 0], casting="unsafe")
    pair[..., 1] = positive
    return torch.from_numpy(pair.reshape(*positive.shape[:2], n_groups, 2, 2))


def _deal(marked: NDArray[np.int64], sizes: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """[..., g] marked rows that each group gets when ``marked`` of all rows are dealt to groups of given sizes."""
    left, marked = sizes.sum(-1), marked.copy()
    dealt = np.empty(sizes.shape, dtype=np.int64)
    for group in range(sizes.shape[-1]):
        size = sizes[..., group]
        dealt[..., group] = generator.hypergeometric(marked, left - marked, size)
        marked -= dealt[..., group]
        left = left - size
    return dealt
