"""How far resampled values lie from the observed ones: the honest end of an interval."""

from __future__ import annotations

from torch import Tensor

from metrics.counts.group_rates import rates_of_counts
from metrics.counts.statistics import Draws
from metrics.registry import COUNTS


def count_deviations(drawn: Tensor, table: Tensor) -> dict[str, Tensor]:
    """Deviations of every metric of counts that knows them: gaps, ratios and minima (:mod:`metrics.counts.statistics`).

    Parameters
    ----------
    drawn : [B, g, 2, 2] float64
        Resampled tables.
    table : [g, 2, 2] float64
        The observed table; it decides which groups have ``MIN_GROUP_ROWS`` relevant rows.

    Returns
    -------
    dict of id -> [B] float64, at least 0, on the scale of the metric.
    """
    draws = Draws(rates_of_counts(drawn, table.sum(-1)), rates_of_counts(table), table)
    found = {id: metric.statistic.deviation(draws) for id, metric in COUNTS.items()}
    return {id: deviation for id, deviation in found.items() if deviation is not None}
