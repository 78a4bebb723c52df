"""F1 score of class 1."""

from __future__ import annotations

from metrics.counts.metric import CountMetric
from metrics.counts.rates import F1
from metrics.counts.statistics import Overall

METRIC = CountMetric(
    id="f1@1",
    name="F1 score of class 1",
    symbol="F1",
    source="2TP/(2TP + FP + FN)",
    statistic=Overall(F1),
    estimable="needs a row with label 1",
    undefined="no row has label 1",
)
