"""Accuracy."""

from __future__ import annotations

from metrics.counts.metric import CountMetric
from metrics.counts.rates import ACCURACY
from metrics.counts.statistics import Overall

METRIC = CountMetric(
    id="acc@1",
    name="accuracy",
    symbol="ACC",
    source="P(prediction = label)",
    statistic=Overall(ACCURACY),
    estimable="needs rows",
    undefined="there are no rows",
)
