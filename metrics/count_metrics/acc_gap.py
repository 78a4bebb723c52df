"""Accuracy gap."""

from __future__ import annotations

from metrics.count_metric import CountMetric
from metrics.rates import ACCURACY
from metrics.statistics import Gap

METRIC = CountMetric(
    id="acc_gap@1",
    name="accuracy gap",
    symbol="ΔACC",
    source="largest minus smallest group rate of P(prediction = label)",
    statistic=Gap(ACCURACY),
)
