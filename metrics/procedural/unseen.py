"""Bounds of procedural measures where resampling cannot see: rows that all say the same have no spread.

A bootstrap of 40 rows without a flip has no flip, so its interval is [0, 0]; yet 9 % of all rows may flip (Clopper &
Pearson 1934, :func:`metrics.proportions.unseen_share`). Here the rows that were not seen may be anything in a measure's
range, and groups are put together as Newcombe does for proportions (Statistics in Medicine 17, 1998): distances of the
two ends, added in squares (Zou & Donner 2008).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations

import torch
from torch import Tensor

from metrics.proportions import unseen_share
from metrics.resample import interval

ROUNDING = 1e-6
"""Draws are float32 sums: as far as they may lie from each other although every row says the same."""

Ends = tuple[float, float]
"""Lower and upper end."""


def is_blind(draws: Tensor) -> bool:
    """Whether no draw [B] differs from another: resampling sees no spread."""
    known = draws[torch.isfinite(draws)]
    return bool(len(known)) and float(known.max() - known.min()) <= ROUNDING


def mean_ends(value: float, rows: float, bounds: Ends) -> Ends:
    """Bounds of a mean over rows that all have this value in ``bounds``: the share that they leave open may differ."""
    share = unseen_share(rows)
    return value - share * (value - bounds[0]), value + share * (bounds[1] - value)


def blind_mean_ends(value: float, draws: Tensor, rows: float, bounds: Ends) -> Ends | None:
    """:func:`mean_ends` if the draws [B] of the mean have no spread; None: they have."""
    return mean_ends(value, rows, bounds) if is_blind(draws) else None


def blind_gap_ends(means: Tensor, draws: Tensor, rows: Sequence[float], bounds: Ends) -> Ends | None:
    """Bounds of the gap of group means where a group's draws have no spread; None where every group's have.

    Parameters
    ----------
    means : [g] float64
        Of the groups that are compared.
    draws : [B, g] float64
    rows : g numbers
        How many rows each mean is of.
    bounds : (float, float)
        Range of a row's value.
    """
    blind = [is_blind(column) for column in draws.T]
    if len(blind) < 2 or not any(blind):
        return None
    each = zip(means.tolist(), draws.T, rows, blind, strict=True)
    groups = [(m, mean_ends(m, n, bounds) if unseen else interval(m, column)) for m, column, n, unseen in each]
    pairs = [_difference_ends(*pair) for pair in permutations(groups, 2)]
    widest = bounds[1] - bounds[0]
    return max(0.0, *(low for low, _ in pairs)), min(widest, max(high for _, high in pairs))


def unseen_reach(rows: Sequence[float]) -> float:
    """How far two groups of rows without exception may lie from what they show, as a share: the furthest two."""
    return min(1.0, math.hypot(*sorted(map(unseen_share, rows))[-2:]))


def _difference_ends(first: tuple[float, Ends], second: tuple[float, Ends]) -> Ends:
    """Bounds of one mean minus another, from (mean, ends) of both."""
    (a, (low_a, high_a)), (b, (low_b, high_b)) = first, second
    return a - b - math.hypot(a - low_a, high_b - b), a - b + math.hypot(high_a - a, b - low_b)
