"""Equal opportunity ratio."""

from __future__ import annotations

from metrics.counts.metric import CountMetric
from metrics.counts.rates import TRUE_POSITIVE_RATE
from metrics.counts.statistics import Ratio

METRIC = CountMetric(
    id="eopp_ratio@1",
    name="equal opportunity ratio",
    symbol="EO ratio",
    source="smallest over largest TPR",
    statistic=Ratio(TRUE_POSITIVE_RATE),
)
