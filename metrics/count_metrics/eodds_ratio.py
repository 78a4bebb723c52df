"""Equalised odds ratio."""

from __future__ import annotations

from metrics.counts.metric import CountMetric
from metrics.counts.rates import FALSE_POSITIVE_RATE, TRUE_POSITIVE_RATE
from metrics.counts.statistics import Ratio

METRIC = CountMetric(
    id="eodds_ratio@1",
    name="equalised odds ratio",
    symbol="EOdds ratio",
    source="smaller of the TPR and the FPR ratio",
    statistic=Ratio(TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE),
)
