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
from torch.nn.functional import softsign

from metrics.auc import auc
from metrics.composites import utility
from metrics.counts.group_rates import GroupRates, rates_of_counts
from metrics.group_auc import GroupAUC
from metrics.points import DEGENERATE_SHARE
from metrics.registry import COUNTS, spec
from metrics.threshold_pool import Corners, Pool, corners_for, merged, pool_of

RATES = 36
"""Common thresholds of the pool, at evenly spaced selection rates (beside the model's own, 0.5)."""

STEPS = 4
"""Subdivisions of an edge of the triangle between the three corners."""

FINE_RATES, FINE_STEPS = 200, 8
"""The same for expected labels, whose counts are smooth enough to tell neighbours apart."""

REFINED = (1.0, 0.25)
"""With expected labels, distances at which neighbours of the best are tried, in steps of the pool's grid."""

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
    fineness : (float, float)
        Rows between two common thresholds, and the step of the weights of corners.
    margins : [n] float64
    labels, groups : [n] int64
    expected : [n] float64 or None
    """

    pool: Pool
    fineness: tuple[float, float]
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
        return cls(pool, (len(margins) / rates, 1 / steps), margins, labels, groups, expected)

    def best(
        self, limits: Sequence[float], gap: str = GAP, refined: Sequence[float] = REFINED
    ) -> list[Thresholds | None]:
        """The thresholds of :func:`fit_thresholds` for each limit; ``refined`` () leaves the grid as it is."""
        found = self._best(self._scored, limits, gap)
        for closer in refined if self.expected is not None else ():
            found = self._refined(found, limits, gap, closer)
        return [None if one is None else one.thresholds for one in found]

    def _best(self, scored: _Scored, limits: Sequence[float], gap: str) -> list[_Found | None]:
        """The best of a pool for each limit."""
        gaps = torch.where(scored.told_apart, scored.value(gap), torch.nan)
        within = torch.zeros(len(gaps), dtype=torch.bool)
        for limit in limits:
            within |= keeps(gaps, limit, gap)
        reach = torch.nonzero(within).flatten()
        if not len(reach):
            return [None] * len(limits)
        worth = self._worth(scored, reach)
        return [_first_best(scored.pool, reach, worth, gaps[reach], keeps(gaps[reach], limit, gap)) for limit in limits]

    def _refined(
        self, found: list[_Found | None], limits: Sequence[float], gap: str, closer: float
    ) -> list[_Found | None]:
        """The same or better, from neighbours of what was found; ``closer`` is their distance in steps of the grid."""
        known = [one for one in found if one is not None]
        if not known:
            return found
        pools = {id(one.pool): one.pool for one in known}
        places = {key: sorted({one.place for one in known if id(one.pool) == key}) for key in pools}
        rank, share = (closer * step for step in self.fineness)
        near = [pool.near(torch.tensor(places[key]), rank, share) for key, pool in pools.items()]
        again = self._best(_Scored(merged(near)), limits, gap)
        pairs = zip(found, again, strict=True)
        return [old if new is None or (old is not None and old.worth >= new.worth) else new for old, new in pairs]

    @cached_property
    def _scored(self) -> _Scored:
        return _Scored(self.pool)

    def _worth(self, scored: _Scored, reach: Tensor) -> Tensor:
        """[K'] utility of some candidates; of a large pool it is kept, for further gaps and limits."""
        if scored is not self._scored or self._is_exact(scored.pool.cuts):
            accuracy, f1 = (scored.value(id)[reach] for id in ("acc@1", "f1@1"))
            return utility(accuracy, f1, self._area(scored.pool.cuts[reach]))
        return self._kept_worth[reach]

    @cached_property
    def _kept_worth(self) -> Tensor:
        """[K] utility of the whole pool."""
        return utility(self._scored.value("acc@1"), self._scored.value("f1@1"), self._area(self.pool.cuts))

    def _is_exact(self, cuts: Tensor) -> bool:
        """Whether AUC is computed from rows, for a pool of these cuts."""
        return self.expected is None and len(cuts) <= ROW_BY_ROW

    def _area(self, cuts: Tensor) -> Tensor:
        """[K'] AUC of cuts [K', g] of this pool."""
        if self._is_exact(self.pool.cuts):
            # single precision may tie rows that are almost equal: good enough to choose by, and twice as fast; far
            # above a cut a sigmoid would be 1 for all rows, and their order lost, which this keeps
            moved = self.margins.to(torch.float32) - cuts.to(torch.float32)[:, self.groups]
            return auc(softsign(moved).mul_(0.5).add_(0.5), self.labels)
        return self._pairs.of_cuts(cuts) if self._pairs else torch.full((len(cuts),), torch.nan)

    @cached_property
    def _pairs(self) -> GroupAUC | None:
        """What AUC is looked up in; None where the labels are all of one class."""
        if int(self.labels.sum()) in (0, self.labels.numel()):
            return None
        positive = self.labels if self.expected is None else self.expected
        return GroupAUC.of(self.margins, positive, self.groups, self.pool.cuts.shape[1])


@dataclass(frozen=True)
class _Scored:
    """The metrics of counts of a pool."""

    pool: Pool

    @cached_property
    def _rates(self) -> GroupRates:
        tables = self.pool.tables
        return rates_of_counts(tables, self.pool.source.sizes.expand(*tables.shape[:-1]))

    def value(self, id: str) -> Tensor:
        """[K] a metric."""
        return COUNTS[id].statistic.value(self._rates)

    @cached_property
    def told_apart(self) -> Tensor:
        """[K] bool: not nearly constant."""
        selected = self.pool.tables[..., 1].sum((-2, -1))
        share = selected / self.pool.source.sizes.sum()
        return torch.minimum(share, 1 - share) >= DEGENERATE_SHARE


@dataclass(frozen=True)
class _Found:
    """A candidate of a pool."""

    pool: Pool
    place: int
    worth: float
    disparity: float

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(self.pool.cuts[self.place], self.disparity, self.worth)


def _first_best(pool: Pool, reach: Tensor, worth: Tensor, gaps: Tensor, kept: Tensor) -> _Found | None:
    allowed = torch.where(kept & ~torch.isnan(worth), worth, -torch.inf)
    best = int(allowed.argmax())
    if math.isinf(float(allowed[best])):
        return None
    return _Found(pool, int(reach[best]), float(allowed[best]), float(gaps[best]))
