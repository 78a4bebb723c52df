"""Means over tasks with intervals over scenarios: the columns of the headline table."""

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
from reports.stats.resampling import Resampling, resampling
from reports.stats.scores import TaskScores
from reports.stats.statistics import ROUNDING, Floats, hierarchical_bootstrap

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
def draw(sizes: tuple[int, ...]) -> Resampling:
    """Draws for tasks with so many splits: the same for all metrics of a page."""
    return resampling(sizes, named_generator("scenarios", *map(str, sizes)))


def task_means(
    scenarios: Sequence[TaskScores], methods: Sequence[Method], values: Floats, metric: str
) -> list[TaskMean]:
    """Mean over tasks of each method, with its interval: all complete columns in one product.

    Parameters
    ----------
    scenarios : sequence of TaskScores
    methods : sequence of Method
        M methods.
    values : [S, M] float
        One value per split of each task, task by task.
    metric : str
    """
    asked = np.flatnonzero(~np.isnan(values).all(axis=1))
    if not len(asked):
        return [TaskMean(math.nan, math.nan, math.nan, 0, len(values)) for _ in methods]
    owner = np.repeat(np.arange(len(scenarios)), [len(s.splits) for s in scenarios])
    sizes = tuple(np.unique(owner[asked], return_counts=True)[1].tolist())
    drawn, here = draw(sizes), values[asked]
    dense = np.asarray(~np.isnan(here).any(axis=0), dtype=np.bool_)
    filled = np.where(dense, here, 0.0)
    half = drawn.quantile * drawn.deviations(filled).std(axis=0) if drawn.freedom > 0 else np.full(len(dense), np.nan)
    half = np.where(half <= ROUNDING, np.nan, half)  # scenarios that all agree show no spread
    mean = drawn.means(filled)
    found = []
    for k, method in enumerate(methods):
        known = int((~np.isnan(here[:, k])).sum())
        null = [s.test[method.id, metric].within_null for s in scenarios if (method.id, metric) in s.test]
        if dense[k]:
            ends = (float(mean[k]), float(mean[k] - half[k]), float(mean[k] + half[k]))
        else:
            parts = [values[owner == i, k] for i in range(len(scenarios))]
            interval = hierarchical_bootstrap(parts, named_generator("column", metric, method.id))
            flat = known > 0 and np.nanmax(here[:, k]) - np.nanmin(here[:, k]) <= ROUNDING
            ends = (interval.mean, *((math.nan, math.nan) if flat else (interval.low, interval.high)))
        found.append(TaskMean(*ends, known, len(asked), sum(null), len(null)))
    return found
