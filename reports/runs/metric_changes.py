"""Changes of numbers between two runs, and which of them are more than noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from foundation.seeding import named_generator
from metrics.holm import holm
from reports.caps import stands_back
from reports.names import larger_is_better
from reports.runs.pairing import RunScenario
from reports.stats.statistics import (
    CONFIDENCE,
    ROUNDING,
    TEST_TRAIN_RATIO,
    Floats,
    Interval,
    corrected_interval,
    hierarchical_bootstrap,
    rounding_variance,
    t_interval,
)

Verdict = Literal["better", "worse", "within noise", "identical", "one split", "not estimable"]
How = Literal["paired", "unpaired", "pooled", "rows"]


@dataclass(frozen=True)
class MetricChange:
    """The change of one metric of one method between two runs: second minus first.

    Attributes
    ----------
    task, use_sensitive : str
        Of a pooled test ``task`` is "all tasks".
    method, metric : str
    how : {"paired", "unpaired", "pooled", "rows"}
    first, second : float
        Means of the two runs over the scenarios of the test.
    interval : Interval
        Of the change, before Holm; ``n`` counts splits, of a pooled test tasks, of a test over rows rows.
    p_holm : float
        nan where no test was possible or none was needed.
    verdict : str
    split, seed : int or None
        Only of a test over rows.
    """

    task: str
    use_sensitive: str
    method: str
    metric: str
    how: How
    first: float
    second: float
    interval: Interval
    p_holm: float = math.nan
    verdict: Verdict = "not estimable"
    split: int | None = None
    seed: int | None = None


def judged(tests: Sequence[MetricChange]) -> tuple[MetricChange, ...]:
    """The same tests with Holm-adjusted p-values over all of them, and verdicts."""
    p_values = [math.nan if _identical(test.interval) else test.interval.p for test in tests]
    return tuple(
        replace(test, p_holm=p, verdict=_verdict(test, p)) for test, p in zip(tests, holm(p_values), strict=True)
    )


def _verdict(test: MetricChange, p_holm: float) -> Verdict:
    interval = test.interval
    if math.isnan(interval.mean):
        return "not estimable"
    if _identical(interval):
        return "identical"
    if math.isnan(p_holm):
        return "one split"
    if p_holm >= 1 - CONFIDENCE:
        return "within noise"
    return "better" if (interval.mean > 0) == larger_is_better(test.metric) else "worse"


def _identical(interval: Interval) -> bool:
    ends = [abs(x) for x in (interval.mean, interval.low, interval.high) if not math.isnan(x)]
    return bool(ends) and max(ends) <= ROUNDING


def tests_of(scenario: RunScenario) -> Iterator[MetricChange]:
    """One test per method and metric over the splits of a task."""
    task, _, use = scenario.place
    for key in sorted(scenario.first.keys() & scenario.second.keys()):
        first, second = scenario.first[key], scenario.second[key]
        if scenario.paired:
            known = ~np.isnan(second - first)
            first, second = first[known], second[known]
            interval = corrected_interval(second - first)
        else:
            interval = unpaired_interval(first, second)
        yield MetricChange(
            task, use, *key, "paired" if scenario.paired else "unpaired", _mean(first), _mean(second), interval
        )


def unpaired_interval(first: Floats, second: Floats, ratio: float = TEST_TRAIN_RATIO) -> Interval:
    """mean(second) − mean(first) on different splits: Welch's interval with the corrected variances of both means.

    The variance of a mean of J splits is ``(1/J + ratio) · s²`` as in
    :func:`reports.stats.statistics.corrected_interval`; degrees of freedom after Welch and Satterthwaite. ``n`` is the
    smaller number of splits. Runs without spread have that of rounding
    (:func:`reports.stats.statistics.rounding_variance`).
    """
    known = [values[~np.isnan(values)] for values in (first, second)]
    n = min(map(len, known))
    mean = _mean(known[1]) - _mean(known[0])
    if n < 2:
        return Interval(mean, math.nan, math.nan, math.nan, n)
    parts = [(1 / len(values) + ratio) * float(values.var(ddof=1)) for values in known]
    if math.sqrt(sum(parts)) <= ROUNDING:
        parts = [(1 / len(values) + ratio) * rounding_variance(mean) for values in known]
    total = sum(parts)
    if math.sqrt(total) <= ROUNDING:
        return t_interval(mean, 0.0, n - 1, n)
    freedom = total**2 / sum(part**2 / (len(v) - 1) for part, v in zip(parts, known, strict=True))
    return t_interval(mean, math.sqrt(total), freedom, n)


def pooled_tests(scenarios: Sequence[RunScenario]) -> Iterator[MetricChange]:
    """One test per method and metric over the tasks with paired splits, where there are two or more."""
    paired = [scenario for scenario in scenarios if scenario.paired]
    keys = sorted({key for s in paired for key in s.first.keys() & s.second.keys()})
    for use in sorted({scenario.place[2] for scenario in paired}):
        here = {s.place[0]: s for s in paired if s.place[2] == use}
        for key in keys:
            having = {task: s for task, s in here.items() if key in s.first and key in s.second}
            having = {task: s for task, s in having.items() if not np.isnan(s.differences(key)).all()}
            tasks = [t for t in having if not stands_back(t, having)]
            if len(tasks) < 2:
                continue
            interval = hierarchical_bootstrap(
                [having[t].differences(key) for t in tasks], named_generator("compare", use, *key)
            )
            means = [
                float(np.mean([_mean(getattr(having[t], run)[key]) for t in tasks])) for run in ("first", "second")
            ]
            yield MetricChange(f"all {len(tasks)} tasks", use, *key, "pooled", means[0], means[1], interval)


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
