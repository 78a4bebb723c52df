"""What is declared of a fixed metric: the words, the direction and the kind of interval that every report needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["utility", "result", "procedural", "calibration", "composite"]
Direction = Literal["higher", "lower"]
Condition = Literal["all", "positive", "negative"]

Bias = Literal["none", "up", "down"]
"""Which way resampling shifts a statistic: "up" for gaps and divergences, "down" for minima and ratios."""

MIN_GROUP_ROWS = 10
"""A group with fewer relevant rows is left out of gaps, ratios and minima of final scores.

One row moves the rate of a smaller group by more than 0.1, so max - min over groups would report the smallest group's
luck. Which groups are left out follows from labels and groups alone, hence is the same for every method; the reason of
the value names them, and the group table shows their rates with their wide intervals. With fewer than two groups left
the metric is not estimable.
"""

TWO_GROUPS = f"needs two groups with at least {MIN_GROUP_ROWS} relevant rows"
"""What makes a gap between groups not estimable."""

INTERVALS = {
    "counts": "percentile interval of 10,000 resampled count tables (same law as resampling rows); exact bounds "
    "where a rate is 0 or 1",
    "delong": "DeLong's variance on the logit scale",
    "rows": "percentile interval of bootstrap samples of rows, shared by all metrics of a score",
    "none": "no interval",
}
"""How the 95 % interval is made; for a metric with ``bias`` see :func:`metrics.resample.interval`."""


@dataclass(frozen=True)
class MetricSpec:
    """One fixed metric.

    Attributes
    ----------
    id, name, symbol : str
        Versioned id, name in words, usual symbol in papers.
    kind : {"utility", "result", "procedural", "calibration", "composite"}
    direction : {"higher", "lower"}
        Which way is better.
    target : float
        The best value.
    range : (float, float)
        Smallest and largest possible value.
    interval : key of ``INTERVALS``
    bias : {"none", "up", "down"}
        Which way resampling shifts the statistic; decides about the end of the interval.
    null : bool
        Whether the 95th percentile under shuffled groups is given.
    estimable : str
        What makes it not estimable.
    source : str
        Equation and citation.
    conditions : tuple of {"all", "positive", "negative"}
        The rows of a group that count against ``MIN_GROUP_ROWS``; empty for metrics without group gaps of counts.
    """

    id: str
    name: str
    symbol: str
    kind: Kind
    direction: Direction
    target: float
    range: tuple[float, float]
    interval: str
    bias: Bias
    null: bool
    estimable: str
    source: str
    conditions: tuple[Condition, ...] = ()
