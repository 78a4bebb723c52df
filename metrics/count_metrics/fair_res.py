"""Result unfairness: the composite that outcomes are judged by."""

from __future__ import annotations

from metrics.counts.metric import CountMetric
from metrics.counts.rates import SELECTION_RATE, TRUE_POSITIVE_RATE
from metrics.counts.statistics import MeanGap

METRIC = CountMetric(
    id="fair_res@1",
    name="result unfairness",
    symbol="fair_res",
    source="(ΔDP + ΔEO)/2",
    statistic=MeanGap(SELECTION_RATE, TRUE_POSITIVE_RATE),
    kind="composite",
)
