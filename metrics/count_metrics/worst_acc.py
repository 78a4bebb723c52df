"""Worst-group accuracy."""

from __future__ import annotations

from metrics.count_metric import CountMetric
from metrics.rates import ACCURACY
from metrics.statistics import Worst

METRIC = CountMetric(
    id="worst_acc@1",
    name="worst-group accuracy",
    symbol="worst ACC",
    source="smallest group accuracy",
    statistic=Worst(ACCURACY),
)
