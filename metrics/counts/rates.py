"""Rates: ratios of two sums over rows, from which a metric, its differentiable loss and its interval follow.

Every row falls into one of four cells (label, prediction). A rate gives each cell a weight in its numerator and one in
its denominator. With hard predictions the sums are counts (the metric), with probabilities they are soft counts (the
loss), and resampled counts give the interval (the idea of a linear-fractional statistic: Buyl, Defrance, De Bie,
"fairret", ICLR 2024).

Definitions are read without torch, so that pages and plans need not wait for it.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Cells = tuple[tuple[float, float], tuple[float, float]]
"""Weights of the cells of a confusion matrix: ``cells[label][prediction]``."""

ALL: Cells = ((1, 1), (1, 1))
_LINEAR = (((0, 0), (0, 0)), ((0, 1), (1, 1)))  # (hits, among) of a label that is left out, or whose mean is taken


@dataclass(frozen=True)
class Rate:
    """A ratio of two weighted sums over the cells (label, prediction) of a confusion matrix.

    Attributes
    ----------
    name : str
    hits, among : ((float, float), (float, float))
        Weights of the cells, ``[label][prediction]``, in the numerator and in the denominator.
    relevant : tuple of int, optional
        Labels whose rows the rate speaks of: a group without such rows has no rate. Default: those of the denominator.
    """

    name: str
    hits: Cells
    among: Cells
    relevant: tuple[int, ...] = ()

    @property
    def labels(self) -> tuple[int, ...]:
        """Labels whose rows the rate speaks of."""
        return self.relevant or tuple(label for label in (0, 1) if any(self.among[label]))

    @property
    def is_linear(self) -> bool:
        """Whether it is a mean prediction over rows that their labels alone choose."""
        return all(row in _LINEAR for row in zip(self.hits, self.among, strict=True))

    def of_counts(self, counts: Tensor) -> Tensor:
        """[..., g] rates of count tables [..., g, label, prediction]; nan where a group has nothing to divide by."""
        total = self.rows(counts)
        known = total != 0
        return (self.hits_of(counts) / total.where(known, 1.0)).where(known, math.nan)

    def hits_of(self, counts: Tensor) -> Tensor:
        """[..., g] numerator, from count tables [..., g, label, prediction]."""
        return _weighted(counts, self.hits)

    def rows(self, counts: Tensor) -> Tensor:
        """[..., g] rows of the denominator, from count tables [..., g, label, prediction]."""
        return _weighted(counts, self.among)

    def weights(self, labels: Tensor, groups: Tensor, n_groups: int) -> Tensor:
        """[n, g] float32 with ``probability @ weights`` = the groups' soft rates; an empty group's column is 0.

        Raises
        ------
        ValueError
            If the rate is not linear in the predictions: its denominator, or its misses, depend on them.
        """
        import torch

        if not self.is_linear:
            raise ValueError(f"{self.name} is no mean prediction over rows; use metrics.counts.tables.soft_counts")
        among = torch.isin(labels, torch.tensor(self.labels))
        members = torch.nn.functional.one_hot(groups, n_groups).to(torch.float32) * among[:, None]
        return members / members.sum(0).clamp(min=1.0)


SELECTION_RATE = Rate("selection_rate", hits=((0, 1), (0, 1)), among=ALL)
TRUE_POSITIVE_RATE = Rate("tpr", hits=((0, 0), (0, 1)), among=((0, 0), (1, 1)))
FALSE_POSITIVE_RATE = Rate("fpr", hits=((0, 1), (0, 0)), among=((1, 1), (0, 0)))
ACCURACY = Rate("accuracy", hits=((1, 0), (0, 1)), among=ALL)
F1 = Rate("f1", hits=((0, 0), (0, 2)), among=((0, 1), (1, 2)), relevant=(1,))


def gap(rates: Tensor) -> Tensor:
    """Largest minus smallest rate over the last dimension; empty groups (nan) are left out, nan if fewer than two."""
    high = rates.nan_to_num(nan=-math.inf).amax(-1)
    return (high - _low(rates)).where(_two_known(rates), math.nan)


def ratio(rates: Tensor) -> Tensor:
    """Smallest over largest rate (1 when all are 0); nan if fewer than two groups are known."""
    high = rates.nan_to_num(nan=-math.inf).amax(-1)
    some = high != 0
    return (_low(rates) / high.where(some, 1.0)).where(some, 1.0).where(_two_known(rates), math.nan)


def smallest(rates: Tensor) -> Tensor:
    """Smallest rate over the last dimension; nan if fewer than two groups are known."""
    return _low(rates).where(_two_known(rates), math.nan)


def _low(rates: Tensor) -> Tensor:
    return rates.nan_to_num(nan=math.inf).amin(-1)


def _two_known(rates: Tensor) -> Tensor:
    return rates.isnan().logical_not().sum(-1) >= 2


def _weighted(counts: Tensor, cells: Cells) -> Tensor:
    """[...] weighted sum of the cells of tables [..., label, prediction]."""
    parts = [
        counts[..., label, prediction] * weight if weight != 1 else counts[..., label, prediction]
        for label, row in enumerate(cells)
        for prediction, weight in enumerate(row)
        if weight
    ]
    return reduce(operator.add, parts)
