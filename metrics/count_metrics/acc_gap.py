"""Accuracy gap."""

from __future__ import annotations

from metrics.counts.metric import CountMetric
from metrics.counts.rates import ACCURACY
from metrics.counts.statistics import Gap

METRIC = CountMetric(
    id="acc_gap@1",
    name="accuracy gap",
    symbol="ΔACC",
    source="largest minus smallest group rate of P(prediction = label)",
    statistic=Gap(ACCURACY),
)
