"""Worst-group true positive rate."""

from __future__ import annotations

from metrics.counts.metric import CountMetric
from metrics.counts.rates import TRUE_POSITIVE_RATE
from metrics.counts.statistics import Worst

METRIC = CountMetric(
    id="worst_tpr@1",
    name="worst-group true positive rate",
    symbol="worst TPR",
    source="smallest group TPR",
    statistic=Worst(TRUE_POSITIVE_RATE),
)
