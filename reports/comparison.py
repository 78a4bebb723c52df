"""Paired differences between two methods: per task over splits, and pooled over tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.names import COMPARISONS, larger_is_better
from reports.statistics import LEVEL, ROUNDING, Interval, corrected_interval, generator, hierarchical_bootstrap, holm

Floats = NDArray[np.float64]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Comparison:
    """method − reference on the splits of one task.

    Attributes
    ----------
    interval : Interval
        Corrected resampled t interval of the paired differences (before Holm).
    p_holm : float
        Holm-adjusted over all comparisons of the same metric on the same task.
    verdict : str
        "better", "worse", "not separable", "identical", "one split" or "not estimable"; from ``p_holm``.
    differences : [J] float
        One per split.
    """

    interval: Interval
    p_holm: float
    verdict: str
    differences: Floats


@dataclass(frozen=True)
class Pooled:
    """method − reference over all tasks: hierarchical bootstrap, and how often each verdict was given."""

    interval: Interval
    p_holm: float
    verdict: str
    better: int
    worse: int
    tasks: int


def verdict(interval: Interval, p_holm: float, up: bool, few: str = "one split") -> str:
    """Plain word for a difference; ``up``: larger values are better."""
    if interval.n == 0:
        return "not estimable"
    if math.isnan(p_holm):
        return few
    if max(abs(interval.mean), abs(interval.low), abs(interval.high)) <= ROUNDING:
        return "identical"
    if p_holm >= 1 - LEVEL:
        return "not separable"
    return "better" if (interval.mean > 0) == up else "worse"


def compare(metric: str, values: Mapping[tuple[str, str], Floats]) -> dict[Pair, Comparison]:
    """All comparisons of one metric on one task, Holm-corrected together.

    Parameters
    ----------
    metric : str
    values : mapping
        (method, metric) → [J] float, one value per split, nan where there is none.

    Returns
    -------
    dict
        (method, reference) → Comparison, for the pairs of which both methods have the metric.
    """
    pairs = [pair for pair in COMPARISONS if all((method, metric) in values for method in pair)]
    differences = [values[a, metric] - values[b, metric] for a, b in pairs]
    intervals = [corrected_interval(d) for d in differences]
    adjusted = holm([interval.p for interval in intervals])
    up = larger_is_better(metric)
    return {
        pair: Comparison(interval, p, verdict(interval, p, up), d)
        for pair, interval, p, d in zip(pairs, intervals, adjusted, differences, strict=True)
    }


def pool(metric: str, tasks: Mapping[str, Mapping[tuple[str, str, str], Comparison]]) -> dict[Pair, Pooled]:
    """All comparisons of one metric over tasks, Holm-corrected together.

    Parameters
    ----------
    metric : str
    tasks : mapping
        Task → (method, reference, metric) → Comparison.

    Returns
    -------
    dict
        (method, reference) → Pooled, for the pairs that at least one task has.
    """
    found = {pair: [c[*pair, metric] for c in tasks.values() if (*pair, metric) in c] for pair in COMPARISONS}
    found = {pair: comparisons for pair, comparisons in found.items() if comparisons}
    intervals = [
        hierarchical_bootstrap([c.differences for c in comparisons], generator("pool", metric, *pair))
        for pair, comparisons in found.items()
    ]
    adjusted = holm([interval.p for interval in intervals])
    up = larger_is_better(metric)
    return {
        pair: Pooled(
            interval,
            p,
            verdict(interval, p, up),
            better=sum(c.verdict == "better" for c in comparisons),
            worse=sum(c.verdict == "worse" for c in comparisons),
            tasks=sum(c.interval.n > 0 for c in comparisons),
        )
        for (pair, comparisons), interval, p in zip(found.items(), intervals, adjusted, strict=True)
    }
