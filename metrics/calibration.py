"""Calibration: Brier score, expected calibration error, and the gap between groups."""

from __future__ import annotations

import torch
from torch import Tensor

from metrics.counts.rates import gap

BINS = 15  # equal-width bins (lower, upper] of [0, 1]; 0 belongs to the first


def brier(probability: Tensor, labels: Tensor) -> Tensor:
    """[K] float64 mean squared error of probabilities [K, n] against labels [n] in {0, 1} (Brier 1950)."""
    return (probability - labels.to(probability.dtype)).square().mean(1, dtype=torch.float64)


def ece(probability: Tensor, labels: Tensor, bins: int = BINS) -> Tensor:
    """Expected calibration error with equal-width bins (Guo et al., ICML 2017, eq. 3), on the probability of class 1.

    Parameters
    ----------
    probability : [K, n] float in [0, 1]
    labels : [n] int64 in {0, 1}

    Returns
    -------
    [K] float64: sum over bins of |sum of (p - y)| / n, in [0, 1].
    """
    sums = [
        torch.bincount(bins_of(row, bins), weights=row.to(torch.float64) - labels, minlength=bins)
        for row in probability  # one by one: temporaries stay in cache
    ]
    return torch.stack(sums).abs().sum(1) / labels.numel()


def bins_of(probability: Tensor, bins: int = BINS) -> Tensor:
    """[...] int64 index of the equal-width bin (lower, upper] of each probability; 0 belongs to the first."""
    return (probability * bins).ceil_().to(torch.int64).sub_(1).clamp_(0, bins - 1)


def calibration_gap(excess: Tensor, rows: Tensor, min_rows: int = 1) -> Tensor:
    """Gap between groups in mean p - y (calibration in the large).

    Parameters
    ----------
    excess : [..., g] float64
        Sum of p - y over the rows of each group.
    rows : [..., g] float64
        Rows of each group; a group with fewer than ``min_rows`` is left out.

    Returns
    -------
    [...] float64 in [0, 2]; nan if fewer than two groups are left. Positive and negative errors within a group cancel:
    unlike a gap of group ECEs this does not grow because a group is small.
    """
    return gap(torch.where(rows >= min_rows, excess / rows, torch.nan))
