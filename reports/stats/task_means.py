"""Means over tasks with their intervals, clustered by source: the columns of the headline table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from foundation.seeding import named_generator
from reports.method import Method
from reports.names import DISPARITY, UTILITY
from reports.stats.hypervolume import VERSION
from reports.stats.pooled_intervals import interval_at, pooled_intervals
from reports.stats.resampling import Resampling, resampling
from reports.stats.scores import TaskScores
from reports.stats.sources import numbered
from reports.stats.statistics import ROUNDING, Floats

WORST = "worst_acc@1"
MEANS = (UTILITY, DISPARITY, WORST, "fair_proc@1", VERSION)
"""Means over tasks in the headline table."""


@dataclass(frozen=True)
class TaskMean:
    """A mean over tasks with its 95 % interval; ``known`` of ``asked`` scenarios have a number."""

    mean: float
    low: float
    high: float
    known: int
    asked: int
    within_null: int = 0
    """Tasks on which shuffled groups give as much."""
    tasks: int = 0

    @property
    def half(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2


@lru_cache(maxsize=64)
def draw(sizes: tuple[int, ...], sources: tuple[int, ...]) -> Resampling:
    """Draws for tasks with so many splits and of such sources: the same for all metrics of a page."""
    return resampling(sizes, named_generator("scenarios", *map(str, sizes), "of", *map(str, sources)), sources)


def task_means(
    scenarios: Sequence[TaskScores], methods: Sequence[Method], values: Floats, metric: str
) -> list[TaskMean]:
    """Mean over tasks of each method, with its interval (:func:`reports.stats.pooled_intervals.pooled_intervals`).

    Parameters
    ----------
    scenarios : sequence of TaskScores
    methods : sequence of Method
        M methods.
    values : [S, M] float
        One value per split of each task, task by task.
    metric : str
    """
    asked = ~np.isnan(values).all(axis=1)
    if not asked.any():
        return [TaskMean(math.nan, math.nan, math.nan, 0, len(values)) for _ in methods]
    intervals = pooled_intervals(_cube(scenarios, values), numbered([s.source for s in scenarios]))
    found = []
    for k, method in enumerate(methods):
        column = values[asked, k]
        known = int((~np.isnan(column)).sum())
        null = [s.test[method.id, metric].within_null for s in scenarios if (method.id, metric) in s.test]
        flat = known == 0 or np.nanmax(column) - np.nanmin(column) <= ROUNDING  # agreement shows no spread
        interval = interval_at(intervals, (k,))
        ends = (math.nan, math.nan) if flat else (interval.low, interval.high)
        found.append(TaskMean(interval.mean, *ends, known, int(asked.sum()), sum(null), len(null)))
    return found


def _cube(scenarios: Sequence[TaskScores], values: Floats) -> Floats:
    """[M, T, J] of [S, M] values, nan where a task has fewer splits."""
    cube = np.full((values.shape[1], len(scenarios), max(len(s.splits) for s in scenarios)), np.nan)
    start = 0
    for task, scores in enumerate(scenarios):
        count = len(scores.splits)
        cube[:, task, :count] = values[start : start + count].T
        start += count
    return cube
