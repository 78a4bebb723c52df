"""Equalised odds difference, by the mean of its two gaps."""

from __future__ import annotations

from metrics.counts.metric import CountMetric
from metrics.counts.rates import FALSE_POSITIVE_RATE, TRUE_POSITIVE_RATE
from metrics.counts.statistics import MeanGap

METRIC = CountMetric(
    id="eodds_mean@1",
    name="equalised odds difference (mean)",
    symbol="ΔEOdds mean",
    source="mean of the TPR and the FPR gap",
    statistic=MeanGap(TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE),
)
