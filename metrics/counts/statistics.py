"""Statistics of counts: how rates become one number, how far resampling moves it, and which way is better.

A gap is a seminorm of the rates r, so ``|gap(r) - gap(s)| <= gap(r - s)`` for any r and s. If gap(observed - true) is
at most c with probability 95 %, then ``gap(observed) - c`` is a valid lower end, for any number of groups and however
close to 0 the true gap is. The bootstrap law of gap(resampled - observed) stands for that of gap(observed - true). The
same holds for -log(ratio), a gap of log rates, and for a minimum, which moves by at most the largest change of a rate.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING, ClassVar

from metrics.counts.exact import Ends, Proportion, any_blind, gap_ends, proportions, quotient_ends, smallest_ends
from metrics.counts.group_rates import GroupRates
from metrics.counts.rates import Rate, gap, ratio, smallest
from metrics.spec import Bias, Direction, Kind

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Draws:
    """Resampled rates beside the observed ones.

    Attributes
    ----------
    drawn, observed : GroupRates
        Of [B, g, 2, 2] resampled tables, and of the table [g, 2, 2] that they were drawn from.
    table : [g, 2, 2] float64
    """

    drawn: GroupRates
    observed: GroupRates
    table: Tensor

    @cached_property
    def moved(self) -> GroupRates:
        """How far resampling moves the rates."""
        return GroupRates(lambda rate: self.drawn[rate] - self.observed[rate])

    def log_gap(self, rate: Rate) -> Tensor:
        """[B] gap of the change of log rates; a rate below half a row counts as half a row."""
        floor = 0.5 / rate.rows(self.table).clamp(min=1)
        return gap(self.drawn[rate].maximum(floor).log() - self.observed[rate].maximum(floor).log())


class Statistic(ABC):
    """What a metric of counts says of its rates; in [0, 1].

    Parameters
    ----------
    *rates : Rate
        The rates that it compares.

    Attributes
    ----------
    kind, direction, bias, null
        What follows for its metrics: see :class:`metrics.spec.MetricSpec`.
    by_group : bool
        Whether it compares groups; a statistic of all rows together does not.
    """

    kind: ClassVar[Kind] = "result"
    direction: ClassVar[Direction]
    bias: ClassVar[Bias]
    null: ClassVar[bool]
    by_group: ClassVar[bool] = True

    def __init__(self, *rates: Rate) -> None:
        self.rates = rates

    @abstractmethod
    def value(self, rates: GroupRates) -> Tensor:
        """[...] the number; nan where not estimable."""

    def deviation(self, draws: Draws) -> Tensor | None:  # noqa: ARG002
        """[B] how far the draws lie from what was observed, on the scale of the number, at least 0; None: unknown."""
        return None

    def exact(self, table: Tensor, min_rows: int = 1) -> Ends | None:  # noqa: ARG002
        """Bounds from the counts [g, 2, 2] where resampling does not see the spread of a rate; None: it does."""
        return None

    def _proportions(self, table: Tensor, min_rows: int) -> list[list[Proportion]] | None:
        """The groups' proportions by rate; None unless resampling misses the spread of one."""
        found = [proportions(rate, table, min_rows) for rate in self.rates]
        return found if any_blind(found) else None


class Gap(Statistic):
    """Largest minus smallest rate over groups; of several rates the largest gap."""

    direction, bias, null = "lower", "up", True

    def value(self, rates: GroupRates) -> Tensor:
        """[...] in [0, 1]."""
        return _largest(rates.summary(gap, rate) for rate in self.rates)

    def deviation(self, draws: Draws) -> Tensor:
        """[B] the gap of the change of the rates."""
        return self.value(draws.moved)

    def exact(self, table: Tensor, min_rows: int = 1) -> Ends | None:
        """Bounds of the gaps, put together as the gaps are."""
        found = self._proportions(table, min_rows)
        return self._together([gap_ends(groups) for groups in found]) if found else None

    def _together(self, gaps: list[Ends]) -> Ends:
        return max(low for low, _ in gaps), max(high for _, high in gaps)


class MeanGap(Gap):
    """Mean of the gaps of several rates."""

    def value(self, rates: GroupRates) -> Tensor:
        """[...] in [0, 1]."""
        return reduce(operator.add, [rates.summary(gap, rate) for rate in self.rates]) / len(self.rates)

    def _together(self, gaps: list[Ends]) -> Ends:
        return sum(low for low, _ in gaps) / len(gaps), sum(high for _, high in gaps) / len(gaps)


class Ratio(Statistic):
    """Smallest over largest rate over groups; of several rates the smallest ratio."""

    direction, bias, null = "higher", "down", False

    def value(self, rates: GroupRates) -> Tensor:
        """[...] in [0, 1]."""
        return _smallest(rates.summary(ratio, rate) for rate in self.rates)

    def deviation(self, draws: Draws) -> Tensor:
        """[B] by how much the gap of the log rates stretches the ratio."""
        return self.value(draws.observed) * _largest(map(draws.log_gap, self.rates)).expm1()

    def exact(self, table: Tensor, min_rows: int = 1) -> Ends | None:
        """Bounds of the smallest ratio."""
        found = self._proportions(table, min_rows)
        return _smallest_ends([quotient_ends(groups) for groups in found]) if found else None


class Worst(Statistic):
    """Smallest rate over groups; of several rates the smallest."""

    direction, bias, null = "higher", "down", False

    def value(self, rates: GroupRates) -> Tensor:
        """[...] in [0, 1]."""
        return _smallest(rates.summary(smallest, rate) for rate in self.rates)

    def deviation(self, draws: Draws) -> Tensor:
        """[B] the largest change of a rate; groups without one do not count."""
        return _largest(draws.moved[rate].abs().nan_to_num(nan=0.0).amax(-1) for rate in self.rates)

    def exact(self, table: Tensor, min_rows: int = 1) -> Ends | None:
        """Bounds of the smallest rate."""
        found = self._proportions(table, min_rows)
        return _smallest_ends([smallest_ends(groups) for groups in found]) if found else None


class Overall(Statistic):
    """One rate of all rows together."""

    kind, direction, bias, null = "utility", "higher", "none", False
    by_group = False

    def value(self, rates: GroupRates) -> Tensor:
        """[...] in [0, 1]."""
        (rate,) = self.rates
        return rates.overall(rate)

    def exact(self, table: Tensor, min_rows: int = 1) -> Ends | None:  # noqa: ARG002
        """Clopper-Pearson bounds of a rate of 0 or 1."""
        (rate,) = self.rates
        found = proportions(rate, table.sum(-3, keepdim=True))
        return found[0].exact if found and found[0].is_blind else None


def _smallest_ends(ends: list[Ends]) -> Ends:
    return min(low for low, _ in ends), min(high for _, high in ends)


def _largest(values: Iterable[Tensor]) -> Tensor:
    return reduce(lambda a, b: a.maximum(b), values)


def _smallest(values: Iterable[Tensor]) -> Tensor:
    return reduce(lambda a, b: a.minimum(b), values)
