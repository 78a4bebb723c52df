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

from metrics.rates import gap

ONE_IN = 5
"""1/rho: one row in five counts as best explained; also the fewest rows of a group that is estimable."""


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


def ref(scores: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """[K] float64 REF from fidelities [K, n] and group ids [n]; nan if fewer than two groups are estimable."""
    n = scores.shape[1]
    sizes = torch.bincount(groups, minlength=n_groups)
    estimable = sizes >= ONE_IN
    if int(estimable.sum()) < 2:
        return torch.full((scores.shape[0],), torch.nan, dtype=torch.float64)
    members = torch.nn.functional.one_hot(groups, n_groups).to(scores.dtype)
    shares = (top_rows(scores, n // ONE_IN) @ members).to(torch.float64) / sizes
    return gap(torch.where(estimable, shares, torch.nan))


def vef(scores: Tensor, values: Tensor, groups: Tensor, n_groups: int, *, round_up: bool = True) -> Tensor:
    """VEF: gap of the groups' mean value over their best explained rows.

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
    [K] float64; nan if fewer than two groups are estimable.
    """
    means = torch.full((scores.shape[0], n_groups), torch.nan, dtype=torch.float64)
    for group in range(n_groups):
        rows = torch.nonzero(groups == group)[:, 0]
        if len(rows) >= ONE_IN:
            count = -(-len(rows) // ONE_IN) if round_up else len(rows) // ONE_IN
            chosen = top_rows(scores[:, rows], count)
            means[:, group] = (chosen * values[:, rows]).sum(1, dtype=torch.float64) / count
    return gap(means)
