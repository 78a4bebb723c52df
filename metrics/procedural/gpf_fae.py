"""GPF_FAE: are similar rows of different groups explained alike? (Wang, Huang, Tang, Yao, arXiv 2404.01877.)

Random rows of each group are matched with their nearest neighbours in the other group, which takes differences in the
rows themselves out of the comparison; a permutation test then compares the two sets of attributions. Differences from
the published code: rows are drawn at random (not the first ones), the distance leaves out the sensitive columns, the
kernel's scale is the squared median distance, and the p-value counts the observed order among the permutations.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from foundation.seeding import numpy_generator

ROWS = 50
"""Random rows per group; with their neighbours, up to 100 attributions on each side."""


def gpf_fae(
    attributions: Tensor,
    features: Tensor,
    groups: Tensor,
    estimable: Tensor,
    *,
    seed: int,
    permutations: int = 1000,
) -> float:
    """p-value of equal attributions of matched rows; higher is fairer, below 0.05 is called unfair.

    Parameters
    ----------
    attributions : [n, c] float
    features : [n, d] float
        Where rows are matched (Euclidean distance); sensitive features set to 0 or left out.
    groups : [n] int64
    estimable : [g] bool
        Groups that take part; at least two.

    Returns
    -------
    float in (0, 1]. For more than two groups: the largest group against every other, the smallest p-value after
    Holm's correction, min(1, pairs * smallest p).

    Notes
    -----
    Labels are permuted over the pooled rows, as published, although rows are matched: attributions that follow the
    features are closer to each other across the two sets than chance makes them, and p is then near 1.
    """
    sizes = torch.where(estimable, torch.bincount(groups, minlength=len(estimable)), -1)
    largest = int(sizes.argmax())
    others = [group for group in torch.nonzero(estimable)[:, 0].tolist() if group != largest]
    values, places = attributions.to(torch.float64), features.to(torch.float64)
    smallest = min(_pair(values, places, groups, largest, other, seed, permutations) for other in others)
    return min(1.0, len(others) * smallest)


def _pair(values: Tensor, places: Tensor, groups: Tensor, one: int, other: int, seed: int, permutations: int) -> float:
    generator = numpy_generator(seed, "gpf_fae", one, other)
    first, second = (torch.nonzero(groups == group)[:, 0] for group in (one, other))
    drawn_first, drawn_second = _draw(first, generator), _draw(second, generator)
    side_one = torch.cat((drawn_first, _nearest(places, drawn_second, first)))
    side_two = torch.cat((_nearest(places, drawn_first, second), drawn_second))
    return mmd_p_value(values[side_one], values[side_two], permutations, seed)


def _draw(rows: Tensor, generator: np.random.Generator) -> Tensor:
    """Up to ``ROWS`` random ones of the rows, without repetition."""
    return rows[torch.from_numpy(generator.permutation(len(rows))[:ROWS])]


def _nearest(places: Tensor, rows: Tensor, candidates: Tensor) -> Tensor:
    """For each row, the candidate at the smallest Euclidean distance (the first of equals)."""
    return candidates[torch.cdist(places[rows], places[candidates]).argmin(1)]


def mmd_p_value(first: Tensor, second: Tensor, permutations: int, seed: int) -> float:
    """Permutation p-value of the unbiased squared maximum mean discrepancy of two samples [m, c] and [l, c].

    Gaussian kernel exp(-d^2 / median^2) with the median distance across the samples (Gretton et al., JMLR 2012,
    eq. 3). p = (1 + permutations with at least the observed value)/(1 + permutations), in (0, 1]; samples without
    any spread give 1.
    """
    pooled = torch.cat((first, second))
    distance = torch.cdist(pooled, pooled, compute_mode="donot_use_mm_for_euclid_dist")
    scale = float(distance[: len(first), len(first) :].median()) or float(distance.max())
    if scale == 0:
        return 1.0
    kernel = torch.exp(-((distance / scale) ** 2)).fill_diagonal_(0)
    keys = numpy_generator(seed, "mmd").random((permutations, len(pooled)))
    border = np.partition(keys, len(first) - 1, axis=1)[:, len(first) - 1]
    observed = np.arange(len(pooled)) < len(first)
    sides = np.concatenate((observed[None], keys <= border[:, None]))
    statistics = _mmd(kernel, torch.from_numpy(sides).to(torch.float64))
    tolerance = 1e-12 * math.sqrt(len(pooled))  # sums in another order differ by rounding
    return float((statistics >= statistics[0] - tolerance).to(torch.float64).mean())


def _mmd(kernel: Tensor, sides: Tensor) -> Tensor:
    """[P] unbiased MMD^2 of the partitions [P, n] (1: first sample) from a kernel matrix with zero diagonal."""
    m = sides[0].sum()
    rest = len(kernel) - m
    within_first = ((sides @ kernel) * sides).sum(1)
    across = sides @ kernel.sum(1) - within_first
    within_rest = kernel.sum() - 2 * across - within_first
    return within_first / (m * (m - 1)) + within_rest / (rest * (rest - 1)) - 2 * across / (m * rest)
