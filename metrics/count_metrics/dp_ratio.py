"""Demographic parity ratio."""

from __future__ import annotations

from metrics.counts.metric import CountMetric
from metrics.counts.rates import SELECTION_RATE
from metrics.counts.statistics import Ratio

METRIC = CountMetric(
    id="dp_ratio@1",
    name="demographic parity ratio",
    symbol="DP ratio",
    source="smallest over largest selection rate",
    statistic=Ratio(SELECTION_RATE),
)
