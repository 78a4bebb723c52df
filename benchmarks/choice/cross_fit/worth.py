"""Utility of cross-fitted decisions, with what every row adds to it: differences between methods are paired by row.

The standard error is the infinitesimal jackknife, the limit of the bootstrap over rows for statistics that are smooth
in the rows' weights: the root of the sum of squares of what each row adds (B. Efron, "Bootstrap methods: another look
at the jackknife", 1979). For AUC it is DeLong's. The same row of several splits counts as one row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.choice.cross_fit.rows import Rows
from metrics.composites import utility
from metrics.proportions import Z


@dataclass(frozen=True, eq=False)
class Worth:
    """``utility@1`` of decisions.

    Attributes
    ----------
    estimate : float
        nan where it is not estimable.
    adds : [n] float64
        Derivative by each row's weight; sums to 0.
    ids : [n] int64
        Which rows these are, the same in all splits.
    """

    estimate: float
    adds: Tensor
    ids: Tensor


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


def worth_of(rows: Rows, probability: Tensor, ids: Tensor) -> Worth:
    """Utility of probabilities [n] that were chosen fold by fold.

    Accuracy and F1 count all decisions; AUC compares rows of the same fold only, as thresholds and configurations
    differ between folds, and margins of different ones are not on one scale.
    """
    if bool(torch.isnan(probability).any()):
        return Worth(math.nan, torch.zeros(len(probability), dtype=torch.float64), ids)
    parts = (_accuracy(rows, probability), _f1(rows, probability), _area(rows, probability))
    estimate = utility(*(value for value, _ in parts))
    return Worth(float(estimate), utility(*(adds for _, adds in parts)), ids)


def _accuracy(rows: Rows, probability: Tensor) -> tuple[float, Tensor]:
    right = ((probability > 0.5) == (rows.labels == 1)).to(torch.float64)
    value = float(right.mean())
    return value, (right - value) / len(right)


def _f1(rows: Rows, probability: Tensor) -> tuple[float, Tensor]:
    chosen, positive = (probability > 0.5).to(torch.float64), rows.labels.to(torch.float64)
    total = float((chosen + positive).sum())
    if not float(positive.sum()):
        return math.nan, torch.zeros_like(chosen)
    value = 2 * float((chosen * positive).sum()) / total
    return value, (2 * chosen * positive - value * (chosen + positive)) / total


def _area(rows: Rows, probability: Tensor) -> tuple[float, Tensor]:
    """AUC over pairs within folds, and each row's part in it."""
    won, pairs = torch.zeros(2, len(probability), dtype=torch.float64)
    for fold in torch.unique(rows.fold):
        mine = rows.fold == fold
        own, label = probability[mine], rows.labels[mine]
        beaten = torch.where(label == 1, _below(own, own[label == 0]), _above(own, own[label == 1]))
        won[mine] = beaten
        pairs[mine] = torch.where(label == 1, (label == 0).sum(), (label == 1).sum()).to(torch.float64)
    total = float(pairs[rows.labels == 1].sum())
    if not total:
        return math.nan, torch.zeros_like(won)
    value = float(won[rows.labels == 1].sum()) / total
    return value, (won - value * pairs) / total


def _below(scores: Tensor, others: Tensor) -> Tensor:
    """[r] others that lie below each score; a tie counts half."""
    ordered = others.sort().values
    twice = torch.searchsorted(ordered, scores) + torch.searchsorted(ordered, scores, right=True)
    return twice.to(torch.float64) / 2


def _above(scores: Tensor, others: Tensor) -> Tensor:
    return len(others) - _below(scores, others)


def mean_worth(parts: Sequence[Worth]) -> Estimate:
    """Mean over splits."""
    value = math.fsum(part.estimate for part in parts) / len(parts)
    return _estimate(value, [(part.adds, part.ids) for part in parts])


def mean_difference(first: Sequence[Worth], second: Sequence[Worth]) -> Estimate:
    """Mean over splits of first minus second, paired by row."""
    pairs = list(zip(first, second, strict=True))
    value = math.fsum(a.estimate - b.estimate for a, b in pairs) / len(pairs)
    return _estimate(value, [(a.adds - b.adds, a.ids) for a, b in pairs])


def _estimate(value: float, parts: list[tuple[Tensor, Tensor]]) -> Estimate:
    if math.isnan(value):
        return Estimate(math.nan, math.nan, math.nan)
    adds, ids = (torch.cat(column) for column in zip(*parts, strict=True))
    _, place = torch.unique(ids, return_inverse=True)
    by_row = torch.zeros(int(place.max()) + 1, dtype=torch.float64).index_add(0, place, adds) / len(parts)
    error = float(by_row.square().sum().sqrt())
    return Estimate(value, value - Z * error, value + Z * error)
