"""Predictive parity: are positive predictions right equally often in all groups?"""

from __future__ import annotations

from metrics.counts.metric import CountMetric
from metrics.counts.rates import Rate
from metrics.counts.statistics import Gap

PRECISION = Rate("precision", hits=((0, 0), (0, 1)), among=((0, 1), (0, 1)))

METRIC = CountMetric(
    id="ppv_gap@1",
    name="predictive parity difference",
    symbol="ΔPPV",
    source="largest minus smallest group rate of P(label = 1 | prediction = 1); Chouldechova, Big Data 2017",
    statistic=Gap(PRECISION),
    undefined="fewer than two groups have a positive prediction",
)
