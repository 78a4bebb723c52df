"""Paired differences between two methods: per task over splits, and pooled over tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metrics.holm import holm
from reports.blocks import Block, Pair
from reports.caps import stands_back
from reports.names import larger_is_better
from reports.stats.pooled_intervals import pooled_interval
from reports.stats.power import smallest_effect
from reports.stats.sources import numbered
from reports.stats.statistics import CONFIDENCE, ROUNDING, Floats, Interval, corrected_interval

Key = tuple[str, str, str]
"""(method, reference, metric)."""


@dataclass(frozen=True)
class Contrast:
    """method − reference on the splits of one task.

    Attributes
    ----------
    interval : Interval
        Corrected resampled t interval of the paired differences (before Holm).
    p_holm : float
        Holm-adjusted over the contrasts of one block, of the same metric on the same task.
    verdict : str
        "better", "worse", "not separable", "identical", "one split" or "not estimable"; from ``p_holm``.
    differences : [J] float
        One per split.
    """

    interval: Interval
    p_holm: float
    verdict: str
    differences: Floats

    @property
    def smallest(self) -> float:
        """Smallest effect that this comparison could have found: see :mod:`reports.stats.power`."""
        return smallest_effect(self.interval)


@dataclass(frozen=True)
class Pooled:
    """method − reference over all tasks, clustered by source, and how often single tasks gave each verdict."""

    interval: Interval
    p_holm: float
    verdict: str
    better: int
    worse: int
    tasks: int

    @property
    def smallest(self) -> float:
        """Smallest effect that this comparison could have found: see :mod:`reports.stats.power`."""
        return smallest_effect(self.interval)


def verdict(interval: Interval, p_holm: float, up: bool, few: str = "one split") -> str:
    """Plain word for a difference; ``up``: larger values are better."""
    if interval.n == 0:
        return "not estimable"
    if math.isnan(p_holm):
        return few
    if max(abs(interval.mean), abs(interval.low), abs(interval.high)) <= ROUNDING:
        return "identical"
    if p_holm >= 1 - CONFIDENCE:
        return "not separable"
    return "better" if (interval.mean > 0) == up else "worse"


def contrasts(metric: str, values: Mapping[tuple[str, str], Floats], blocks: Sequence[Block]) -> dict[Pair, Contrast]:
    """All contrasts of one metric on one task, Holm-corrected within each block.

    A block asks one question, so that what is said of tabular methods does not depend on whether text experts stand
    beside them.

    Parameters
    ----------
    metric : str
    values : mapping
        (method, metric) → [J] float, one value per split, nan where there is none.
    blocks : sequence of Block

    Returns
    -------
    dict
        (method, reference) → Contrast, for the pairs of which both methods have the metric.
    """
    up = larger_is_better(metric)
    found: dict[Pair, Contrast] = {}
    for block in blocks:
        pairs = [pair for pair in block.pairs if all((method, metric) in values for method in pair)]
        differences = [values[a, metric] - values[b, metric] for a, b in pairs]
        intervals = [corrected_interval(d) for d in differences]
        adjusted = holm([interval.p for interval in intervals])
        for pair, interval, p, d in zip(pairs, intervals, adjusted, differences, strict=True):
            found[pair] = Contrast(interval, p, verdict(interval, p, up), d)
    return found


def counted(tasks: Mapping[str, Mapping[Key, Contrast]], key: Key) -> dict[str, Contrast]:
    """Task → contrast, of tasks that count: one on fewer rows stands back where it is there in full too."""
    having = {name for name, found in tasks.items() if key in found and found[key].interval.n}
    copies = {name for name in having if stands_back(name, having)}
    return {name: found[key] for name, found in tasks.items() if key in found and name not in copies}


def pool(
    metric: str,
    tasks: Mapping[str, Mapping[Key, Contrast]],
    blocks: Sequence[Block],
    sources: Mapping[str, str] | None = None,
) -> dict[Pair, Pooled]:
    """All contrasts of one metric over tasks (see :func:`counted`), Holm-corrected within each block.

    Parameters
    ----------
    metric : str
    tasks : mapping
        Task → (method, reference, metric) → Contrast.
    blocks : sequence of Block
    sources : mapping, optional
        Task → its source; every task is its own without it.

    Returns
    -------
    dict
        (method, reference) → Pooled, for the pairs that at least one task has.
    """
    known = sources or {}
    return {pair: pooled for block in blocks for pair, pooled in _pool_block(metric, tasks, block.pairs, known).items()}


def _pool_block(
    metric: str, tasks: Mapping[str, Mapping[Key, Contrast]], pairs: Sequence[Pair], sources: Mapping[str, str]
) -> dict[Pair, Pooled]:
    found = {pair: own for pair in pairs if (own := counted(tasks, (*pair, metric)))}
    intervals = [
        pooled_interval([c.differences for c in own.values()], numbered([sources.get(task, task) for task in own]))
        for own in found.values()
    ]
    adjusted = holm([interval.p for interval in intervals])
    up = larger_is_better(metric)
    return {
        pair: Pooled(
            interval,
            p,
            verdict(interval, p, up),
            better=sum(c.verdict == "better" for c in own.values()),
            worse=sum(c.verdict == "worse" for c in own.values()),
            tasks=sum(c.interval.n > 0 for c in own.values()),
        )
        for (pair, own), interval, p in zip(found.items(), intervals, adjusted, strict=True)
    }
