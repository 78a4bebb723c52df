"""Worst-group true positive rate."""

from __future__ import annotations

from metrics.count_metric import CountMetric
from metrics.rates import TRUE_POSITIVE_RATE
from metrics.statistics import Worst

METRIC = CountMetric(
    id="worst_tpr@1",
    name="worst-group true positive rate",
    symbol="worst TPR",
    source="smallest group TPR",
    statistic=Worst(TRUE_POSITIVE_RATE),
)
