"""Accuracy."""

from __future__ import annotations

from metrics.count_metric import CountMetric
from metrics.rates import ACCURACY
from metrics.statistics import Overall

METRIC = CountMetric(
    id="acc@1",
    name="accuracy",
    symbol="ACC",
    source="P(prediction = label)",
    statistic=Overall(ACCURACY),
    estimable="needs rows",
    undefined="there are no rows",
)
