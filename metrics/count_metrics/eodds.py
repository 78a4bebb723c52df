"""Equalised odds difference, by the worse of its two gaps."""

from __future__ import annotations

from metrics.counts.metric import CountMetric
from metrics.counts.rates import FALSE_POSITIVE_RATE, TRUE_POSITIVE_RATE
from metrics.counts.statistics import Gap

METRIC = CountMetric(
    id="eodds@1",
    name="equalised odds difference (worst)",
    symbol="ΔEOdds",
    source="larger of the TPR and the FPR gap; Hardt, Price & Srebro, NeurIPS 2016",
    statistic=Gap(TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE),
)
