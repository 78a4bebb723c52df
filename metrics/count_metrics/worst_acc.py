"""Worst-group accuracy."""

from __future__ import annotations

from metrics.counts.metric import CountMetric
from metrics.counts.rates import ACCURACY
from metrics.counts.statistics import Worst

METRIC = CountMetric(
    id="worst_acc@1",
    name="worst-group accuracy",
    symbol="worst ACC",
    source="smallest group accuracy",
    statistic=Worst(ACCURACY),
)
