"""Demographic parity difference."""

from __future__ import annotations

from metrics.counts.metric import CountMetric
from metrics.counts.rates import SELECTION_RATE
from metrics.counts.statistics import Gap

METRIC = CountMetric(
    id="dp@1",
    name="demographic parity difference",
    symbol="ΔDP",
    source="largest minus smallest group rate of P(prediction = 1); Dwork et al., ITCS 2012",
    statistic=Gap(SELECTION_RATE),
)
