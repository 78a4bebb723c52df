"""Demographic parity ratio."""

from __future__ import annotations

from metrics.count_metric import CountMetric
from metrics.rates import SELECTION_RATE
from metrics.statistics import Ratio

METRIC = CountMetric(
    id="dp_ratio@1",
    name="demographic parity ratio",
    symbol="DP ratio",
    source="smallest over largest selection rate",
    statistic=Ratio(SELECTION_RATE),
)
