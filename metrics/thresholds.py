"""Relaxed group thresholds: how fair any model becomes, and what that costs, by moving nothing but its cut-offs.

One threshold per group on top of a fixed score is the simplest fairness method there is (Hardt, Price & Srebro,
"Equality of Opportunity in Supervised Learning", NeurIPS 2016). Demanding a gap of at most a level instead of none at
all puts models side by side at the same fairness (Cruz & Hardt, "Unprocessing Seven Years of Algorithmic Fairness",
ICLR 2024). So a method that trains for fairness has to show what it adds to thresholds.

Thresholds are deterministic here: every row gets one answer. They are chosen from a pool
(:mod:`metrics.threshold_pool`), whose count tables are look-ups in cumulative sums; AUC, which moves because groups
move against each other, looks at rows in small pools and is a look-up in large ones (:mod:`metrics.group_auc`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from metrics.auc import auc
from metrics.composites import utility
from metrics.counts.group_rates import GroupRates, rates_of_counts
from metrics.group_auc import GroupAUC
from metrics.points import DEGENERATE_SHARE
from metrics.registry import COUNTS, spec
from metrics.threshold_pool import Corners, Pool, corners_for, pool_of

RATES = 36
"""Common thresholds of the pool, at evenly spaced selection rates (beside the model's own, 0.5)."""

STEPS = 4
"""Subdivisions of an edge of the triangle between the three corners."""

FINE_RATES, FINE_STEPS = 200, 8
"""The same for expected labels, whose counts are smooth enough to tell neighbours apart."""

GAP = "fair_res@1"

ROW_BY_ROW = 600
"""Candidates up to which AUC is computed from rows where labels are hard."""

FARTHEST = 30.0
"""Margins are held within ± this; probabilities beyond it are 0 or 1 for every purpose."""


@dataclass(frozen=True)
class Thresholds:
    """One threshold per group.

    Attributes
    ----------
    cuts : [g] float64
        Margins (logits); a row is predicted 1 iff its margin exceeds the cut of its group. 0 is the model's own cut.
    disparity : float
        The gap on the rows that chose them, by what was counted there (labels or expected labels).
    worth : float
        ``utility@1`` on these rows, by the same.
    """

    cuts: Tensor
    disparity: float
    worth: float = math.nan

    def apply(self, probability: Tensor, groups: Tensor) -> Tensor:
        """[n] float64 probabilities whose cut at 0.5 is the group's threshold; order within a group is kept.

        Parameters
        ----------
        probability : [n] float
            Probabilities of class 1.
        groups : [n] int64 in 0..g-1
        """
        return torch.sigmoid(margins_of(probability) - self.cuts[groups])


def margins_of(probability: Tensor) -> Tensor:
    """[n] float64 logits within ± ``FARTHEST``."""
    return torch.logit(probability.to(torch.float64)).clamp(-FARTHEST, FARTHEST)


def keeps(values: Tensor, limit: float, gap: str) -> Tensor:
    """[...] bool: whether values of a metric keep a limit: at most it, or at least it where high is better.

    An infinite limit is kept by every value that is estimable; nan is never kept.
    """
    if math.isinf(limit) and limit > 0:
        return ~torch.isnan(values)
    return values >= limit if spec(gap).direction == "higher" else values <= limit


def fit_thresholds(
    probability: Tensor,
    labels: Tensor,
    groups: Tensor,
    n_groups: int,
    limits: Sequence[float],
    *,
    gap: str = GAP,
    expected: Tensor | None = None,
    rates: int = RATES,
    steps: int = STEPS,
) -> list[Thresholds | None]:
    """Group thresholds of the highest utility whose result gap stays within each limit.

    Parameters
    ----------
    probability : [n] float
        Probabilities of class 1 on the rows that may choose: validation or out-of-fold rows.
    labels, groups : [n] int64
        Labels in {0, 1}; group ids in 0..n_groups-1. A group without rows gets the common threshold.
    limits : sequence of float
        Largest gap allowed (for a metric of which high is better: the smallest value); ``inf``: any.
    gap : str
        A metric of counts that compares groups: ``dp@1``, ``eopp@1``, ``eodds@1``, ``fair_res@1``, ``worst_tpr@1``, …
    expected : [n] float64 in [0, 1], optional
        Calibrated probabilities (:func:`metrics.expected_labels.expected_labels`) that replace labels in all counts
        and in AUC. Which groups have rows enough is still a matter of labels.
    rates, steps : int
        Fineness of the pool; ``FINE_RATES`` and ``FINE_STEPS`` go with expected labels.

    Returns
    -------
    list of Thresholds or None
        One per limit: the highest ``utility@1`` in the pool (the first of equals; the model's own cut comes first).
        None where nothing in the pool keeps the limit without being nearly constant
        (:data:`metrics.points.DEGENERATE_SHARE`), or where utility or the gap are not estimable.

    Raises
    ------
    ValueError
        If ``gap`` is no metric of counts that compares groups.
    """
    given = _checked(gap)
    choice = ThresholdChoice.of(
        probability, labels, groups, n_groups, expected=expected, rates=rates, steps=steps, corners=given
    )
    return [None] * len(limits) if choice is None else choice.best(limits, gap)


def _checked(gap: str) -> Corners:
    """The corners of a pool for the gap."""
    if gap not in COUNTS or not COUNTS[gap].statistic.by_group:
        known = ", ".join(id for id, metric in COUNTS.items() if metric.statistic.by_group)
        raise ValueError(
            f"thresholds cannot keep {gap}: it is no metric of counts that compares groups; these are {known}"
        )
    return corners_for(COUNTS[gap].statistic.rates)


@dataclass(frozen=True)
class ThresholdChoice:
    """A pool of thresholds for some rows, from which those for any gap and limit are read.

    Attributes
    ----------
    pool : Pool
    margins : [n] float64
    labels, groups : [n] int64
    expected : [n] float64 or None
    """

    pool: Pool
    margins: Tensor
    labels: Tensor
    groups: Tensor
    expected: Tensor | None

    @classmethod
    def of(
        cls,
        probability: Tensor,
        labels: Tensor,
        groups: Tensor,
        n_groups: int,
        *,
        expected: Tensor | None = None,
        rates: int = FINE_RATES,
        steps: int = FINE_STEPS,
        corners: Corners,
    ) -> ThresholdChoice | None:
        """The pool of :func:`metrics.threshold_pool.pool_of`; None where a probability is no number."""
        if bool(torch.isnan(probability).any()):
            return None
        margins = margins_of(probability)
        pool = pool_of(margins, labels, groups, n_groups, rates=rates, steps=steps, corners=corners, expected=expected)
        return cls(pool, margins, labels, groups, expected)

    def best(self, limits: Sequence[float], gap: str = GAP) -> list[Thresholds | None]:
        """The thresholds of :func:`fit_thresholds` for each limit."""
        gaps = torch.where(self._told_apart, COUNTS[gap].statistic.value(self._rates), torch.nan)
        within = torch.zeros(len(gaps), dtype=torch.bool)
        for limit in limits:
            within |= keeps(gaps, limit, gap)
        reach = torch.nonzero(within).flatten()
        if not len(reach):
            return [None] * len(limits)
        accuracy, f1 = (COUNTS[id].statistic.value(self._rates)[reach] for id in ("acc@1", "f1@1"))
        worth = utility(accuracy, f1, self._area(reach))
        return [_best(self.pool.cuts[reach], worth, gaps[reach], limit, gap) for limit in limits]

    @cached_property
    def _rates(self) -> GroupRates:
        tables = self.pool.tables
        return rates_of_counts(tables, self.pool.sizes.expand(*tables.shape[:-1]))

    @cached_property
    def _told_apart(self) -> Tensor:
        share = self.pool.tables[..., 1].sum((-2, -1)) / self.labels.numel()
        return torch.minimum(share, 1 - share) >= DEGENERATE_SHARE

    def _area(self, reach: Tensor) -> Tensor:
        """[K'] AUC of some candidates."""
        if self.expected is None and len(self.pool.cuts) <= ROW_BY_ROW:
            # single precision may tie rows that are almost equal: good enough to choose by, and twice as fast
            moved = self.margins.to(torch.float32) - self.pool.cuts[reach].to(torch.float32)[:, self.groups]
            return auc(moved.sigmoid_(), self.labels)
        return self._looked_up[reach]

    @cached_property
    def _looked_up(self) -> Tensor:
        """[K] AUC of all candidates; nan where the labels are all of one class."""
        one_class = int(self.labels.sum()) in (0, self.labels.numel())
        positive = self.labels if self.expected is None else self.expected
        pairs = GroupAUC.of(self.margins, positive, self.groups, self.pool.cuts.shape[1])
        found = pairs.of_cuts(self.pool.cuts)
        return torch.full_like(found, torch.nan) if one_class else found


def _best(cuts: Tensor, worth: Tensor, gaps: Tensor, limit: float, gap: str) -> Thresholds | None:
    allowed = torch.where(keeps(gaps, limit, gap) & ~torch.isnan(worth), worth, -torch.inf)
    best = int(allowed.argmax())
    if math.isinf(float(allowed[best])):
        return None
    return Thresholds(cuts[best], float(gaps[best]), float(allowed[best]))
