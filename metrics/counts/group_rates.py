"""Rates of every group of one source (count tables, soft counts), each computed once for all metrics."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from metrics.counts.rates import Rate
from metrics.spec import MIN_GROUP_ROWS

if TYPE_CHECKING:
    from torch import Tensor

Summary = Callable[["Tensor"], "Tensor"]
"""Rates of groups [..., g] -> [...], such as :func:`metrics.counts.rates.gap`."""


class GroupRates:
    """The rates that statistics are made of.

    Parameters
    ----------
    find : callable
        Rate -> [..., g], nan for a group that has none.
    overall : callable, optional
        Rate -> [...], the rate of all rows together.
    missing : float
        What a summary counts that the groups cannot give: nan in metrics, 0 in losses.
    """

    def __init__(
        self,
        find: Callable[[Rate], Tensor],
        overall: Callable[[Rate], Tensor] | None = None,
        missing: float = math.nan,
    ) -> None:
        self._find, self._overall, self._missing = find, overall, missing
        self._rates: dict[Rate, Tensor] = {}
        self._summaries: dict[tuple[Summary, Rate], Tensor] = {}

    def __getitem__(self, rate: Rate) -> Tensor:
        """[..., g] the rate of every group; nan for a group that has none."""
        if rate not in self._rates:
            self._rates[rate] = self._find(rate)
        return self._rates[rate]

    def summary(self, summarise: Summary, rate: Rate) -> Tensor:
        """[...] a summary over the groups."""
        key = (summarise, rate)
        if key not in self._summaries:
            self._summaries[key] = self._known(summarise(self[rate]))
        return self._summaries[key]

    def overall(self, rate: Rate) -> Tensor:
        """[...] the rate of all rows together.

        Raises
        ------
        TypeError
            If the source knows groups only.
        """
        if self._overall is None:
            raise TypeError(f"{rate.name} of all rows together cannot be had from the rates of groups")
        return self._known(self._overall(rate))

    def _known(self, value: Tensor) -> Tensor:
        return value if math.isnan(self._missing) else value.nan_to_num(nan=self._missing)


class StackedRates(GroupRates):
    """Rates that come as one tensor: a summary is computed for all of them at once, which small batches need.

    Parameters
    ----------
    rates : R rates
    values : [..., R, g]
    missing : float
        See :class:`GroupRates`.
    """

    def __init__(self, rates: tuple[Rate, ...], values: Tensor, missing: float = math.nan) -> None:
        super().__init__(lambda rate: values[..., rates.index(rate), :], missing=missing)
        self._order, self._values = rates, values

    def summary(self, summarise: Summary, rate: Rate) -> Tensor:
        """[...] a summary over the groups."""
        if (summarise, rate) not in self._summaries:
            values = self._known(summarise(self._values)).unbind(-1)
            self._summaries |= {(summarise, each): value for each, value in zip(self._order, values, strict=True)}
        return self._summaries[summarise, rate]


def rates_of_counts(tables: Tensor, sizes: Tensor | None = None, *, least: int = MIN_GROUP_ROWS) -> GroupRates:
    """Rates of count tables; a group with fewer than ``least`` relevant rows has none.

    Whatever bears the id of a metric of counts goes through here with the default, so that it means the same in
    tuning, in selection and in final scores.

    Parameters
    ----------
    tables : [..., g, 2, 2] float64
        Rows per (group, label, prediction), as :func:`metrics.counts.tables.count_table` gives them.
    sizes : [..., g, 2] or None
        Rows per (group, label) that count (those of the labels that a rate speaks of are relevant); default: those of
        the tables themselves. Resampled tables pass the sizes of the data, so that all draws speak of the same groups.
    least : int
        Another number is for losses alone: the rows of a batch are few, and a loss is not told to anyone.
    """
    by_label = tables.sum(-1) if sizes is None else sizes

    def of_groups(rate: Rate) -> Tensor:
        return rate.of_counts(tables).where(by_label[..., list(rate.labels)].sum(-1) >= least, math.nan)

    def of_all(rate: Rate) -> Tensor:
        table = tables.sum(-3)
        return rate.of_counts(table).where(table[..., list(rate.labels), :].sum((-2, -1)) > 0, math.nan)

    return GroupRates(of_groups, of_all)
