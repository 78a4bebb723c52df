"""Equal opportunity difference."""

from __future__ import annotations

from metrics.counts.metric import CountMetric
from metrics.counts.rates import TRUE_POSITIVE_RATE
from metrics.counts.statistics import Gap

METRIC = CountMetric(
    id="eopp@1",
    name="equal opportunity difference",
    symbol="ΔEO",
    source="largest minus smallest group rate of P(prediction = 1 | label = 1); Hardt, Price & Srebro, NeurIPS 2016",
    statistic=Gap(TRUE_POSITIVE_RATE),
)
