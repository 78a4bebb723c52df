"""Explanation fidelity by group: REF and VEF.

Masking the column that an explanation names most important should move the prediction; the drop is the fidelity of
the explanation. REF asks whether the best explained rows come from all groups alike, VEF whether the groups' best
explanations are equally good (Zhao, Wang, Derr, "Fairness and explainability", AAAI 2023, as corrected here).

Definitions, for rows i with probabilities p_i, masked probabilities p~_i and share rho = 1/5:

* fidelity F_i = p_c(x_i) - p_c(x~_i) with c the class predicted for x_i;
* REF: T are the floor(rho n) rows with the largest F; gap over groups of |T in group| / |group|;
* VEF: gap over groups of the mean F over the ceil(rho n_s) rows of the group with the largest F;
* VEF_acc: the same rows, with correct - correct after masking in place of F.

Rows tied at the border are members in equal fractions, so that no value depends on the order of rows. A group with
fewer than 1/rho rows is not estimable. Gaps are max - min over estimable groups.

The ``cfa`` forms follow the code of the paper with its row index put right: F_i = max p(x_i) - max p(x~_i), the masked
prediction being judged by its own class; floor(rho n_s) rows per group; VEF by accuracy. (That code takes positions
within a group for positions in the whole set, and so measures VEF on other rows.)
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics.resample import row_blocks

ONE_IN = 5
"""1/rho: one row in five counts as best explained; also the fewest rows of a group that is estimable."""


def top_count(rows: int, *, round_up: bool) -> int:
    """How many of ``rows`` rows count as best explained."""
    return -(-rows // ONE_IN) if round_up else rows // ONE_IN


def fidelity(probability: Tensor, masked: Tensor) -> Tensor:
    """[...] drop of the originally predicted class's probability, in [-1, 1]; both arguments [...] in [0, 1]."""
    return torch.where(probability > 0.5, probability - masked, masked - probability)


def fidelity_cfa(probability: Tensor, masked: Tensor) -> Tensor:
    """[...] drop of the largest class probability, in [-1/2, 1/2]: a flip with equal confidence counts 0."""
    return (probability - 0.5).abs() - (masked - 0.5).abs()


def accuracy_drop(probability: Tensor, masked: Tensor, labels: Tensor) -> Tensor:
    """[..., n] in {-1, 0, 1}: correct before minus correct after masking."""
    truth = labels > 0
    right = ((probability > 0.5) == truth).to(probability.dtype)
    return right - ((masked > 0.5) == truth).to(probability.dtype)


def top_rows(scores: Tensor, count: int) -> Tensor:
    """Which rows are among the ``count`` with the largest scores, ties at the border shared out equally.

    Parameters
    ----------
    scores : [K, n] float
    count : int in 1..n

    Returns
    -------
    [K, n] of the same type, in [0, 1]; each row of the result sums to ``count``.
    """
    values = scores.numpy()
    border: NDArray[np.floating] = np.partition(values, values.shape[1] - count, axis=1)[:, -count][:, None]
    above = values > border
    tied = values == border
    with np.errstate(invalid="ignore"):  # a vector with nan has no ties; its values are nan anyway
        fraction = (count - above.sum(1, keepdims=True)) / tied.sum(1, keepdims=True)
    return torch.from_numpy(np.where(tied, fraction.astype(values.dtype), above))


def ref_shares(scores: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """Share of each group's rows among the best explained of all rows; REF is their gap.

    Parameters
    ----------
    scores : [K, n] float
        Fidelities of K models.
    groups : [n] int64 in 0..n_groups-1

    Returns
    -------
    [K, g] float64 in [0, 1]; nan for groups that are not estimable.
    """
    sizes = torch.bincount(groups, minlength=n_groups)
    if scores.shape[1] < ONE_IN:
        return torch.full((len(scores), n_groups), torch.nan, dtype=torch.float64)
    members = torch.nn.functional.one_hot(groups, n_groups).to(scores.dtype)
    chosen = top_rows(scores, top_count(scores.shape[1], round_up=False)) @ members
    return torch.where(sizes >= ONE_IN, chosen.to(torch.float64) / sizes, torch.nan)


def vef_means(scores: Tensor, values: Tensor, groups: Tensor, n_groups: int, *, round_up: bool = True) -> Tensor:
    """Mean value of each group's best explained rows; VEF is the gap of these means.

    Parameters
    ----------
    scores : [K, n] float
        Fidelities, which rank the rows of a group.
    values : [K, n] float
        What is averaged: the fidelities themselves (VEF) or :func:`accuracy_drop` (VEF_acc).
    round_up : bool
        ceil(n_s / 5) rows per group, otherwise floor.

    Returns
    -------
    [K, g] float64 in [-1, 1]; nan for groups that are not estimable.
    """
    means = torch.full((len(scores), n_groups), torch.nan, dtype=torch.float64)
    for group in range(n_groups):
        rows = torch.nonzero(groups == group)[:, 0]
        if len(rows) >= ONE_IN:
            count = top_count(len(rows), round_up=round_up)
            chosen = top_rows(scores[:, rows], count)
            means[:, group] = (chosen * values[:, rows]).sum(1, dtype=torch.float64) / count
    return means


def ref_draws(scores: Tensor, groups: Tensor, weights: Tensor, group_weight: Tensor) -> Tensor:
    """:func:`ref_shares` of one model on bootstrap samples.

    Parameters
    ----------
    scores : [n] float
    groups : [n] int64
    weights : [B, n] integer values
        How often each row is in each sample.
    group_weight : [B, g] float64
        Rows of each group in each sample.

    Returns
    -------
    [B, g] float64; nan for groups without rows in a sample.
    """
    members = torch.nn.functional.one_hot(groups, group_weight.shape[1])
    counts = group_weight.sum(1).to(torch.int64) // ONE_IN
    return weighted_top_sums(scores, weights, counts, members) / group_weight


def vef_draws(
    scores: Tensor, values: Tensor, groups: Tensor, weights: Tensor, group_weight: Tensor, *, round_up: bool = True
) -> Tensor:
    """[v, B, g] :func:`vef_means` of one model on bootstrap samples, for values [n, v]; see :func:`ref_draws`."""
    means = []
    for group in range(group_weight.shape[1]):
        rows = torch.nonzero(groups == group)[:, 0]
        counts = (group_weight[:, group].to(torch.int64) + (ONE_IN - 1 if round_up else 0)) // ONE_IN
        means.append(weighted_top_sums(scores[rows], weights, counts, values[rows], rows) / counts[:, None])
    return torch.stack(means, -1).transpose(0, 1)


def vef_null(scores: Tensor, values: Tensor, shuffled: Tensor, sizes: Tensor, *, round_up: bool = True) -> Tensor:
    """[v, P, g] :func:`vef_means` of one model under shuffled group ids [P, n] of sizes [g]."""
    means = []
    for group, size in enumerate(sizes.tolist()):
        count = top_count(size, round_up=round_up)
        counts = torch.full((len(shuffled),), count)
        means.append(weighted_top_sums(scores, shuffled == group, counts, values) / count)
    return torch.stack(means, -1).transpose(0, 1)


def weighted_top_sums(
    scores: Tensor, weights: Tensor, counts: Tensor, values: Tensor, rows: Tensor | None = None
) -> Tensor:
    """Sums of values over the best explained rows of many weighted samples.

    Parameters
    ----------
    scores : [m] float
        One sort serves all samples.
    weights : [B, n] bool, integers or integer-valued floats
    counts : [B] int64
        How much weight counts as best explained; at most the sample's weight. Rows tied at the border share what is
        left of it in proportion to their weights.
    values : [m, v] float
    rows : [m] int64, optional
        Columns of ``weights`` that belong to the scores; default: all.

    Returns
    -------
    [B, v] float64
    """
    if len(scores) == 0 or len(weights) == 0:
        return torch.zeros(len(weights), values.shape[1], dtype=torch.float64)
    order = torch.argsort(scores, descending=True, stable=True)
    ranked = scores[order]
    first, last = _runs(ranked)
    columns = order if rows is None else rows[order]
    values = values[order].to(torch.float32)
    parts = []
    for block in row_blocks(*weights.shape):
        length = _prefix(counts[block], len(order), last)
        part = weights[block].index_select(1, columns[:length]).to(torch.float32)
        if bool((part.sum(1) < counts[block]).any()):
            part, length = weights[block].index_select(1, columns).to(torch.float32), len(order)
        members = _weighted_members(part, counts[block], first, last)
        parts.append((members @ values[:length]).to(torch.float64))
    return torch.cat(parts)


def _prefix(counts: Tensor, n: int, last: Tensor) -> int:
    """Ranks to look at: almost surely enough weight, and never a part of a run of ties."""
    most = max(int(counts.max()), 1)
    length = min(n, int(n / ONE_IN * (1 + 6 / most**0.5)) + 1)
    return int(last[length - 1])


def _runs(ranked: Tensor) -> tuple[Tensor, Tensor]:
    """[m] first position of each position's run of equal scores, and [m] the position after its last."""
    _, run, length = torch.unique_consecutive(ranked, return_inverse=True, return_counts=True)
    end = length.cumsum(0)
    return (end - length)[run], end[run]


def _weighted_members(weights: Tensor, counts: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """[B, m] float32: how much of each ranked row's weight [B, m] is among the ``counts`` [B] best explained."""
    running = weights.cumsum(1)
    border = torch.searchsorted(running, counts.to(torch.float32)[:, None])
    start, end = first[border], last[border]
    above = torch.where(start > 0, running.gather(1, (start - 1).clamp(min=0)), 0.0)
    tied = running.gather(1, end - 1) - above
    fraction = torch.where(tied > 0, (counts[:, None] - above) / tied, 0.0)
    if bool((end - start == 1).all()):  # no ties at any border: the border row takes what is left
        members = weights * (running <= counts[:, None])
        return members.scatter_(1, border, counts[:, None] - above)
    position = torch.arange(weights.shape[1])
    share = torch.where(position < start, 1.0, torch.where(position < end, fraction, 0.0))
    return weights * share
