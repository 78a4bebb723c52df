"""Bootstrap over scenarios: tasks are drawn, then splits within each drawn task, for many columns at once.

A scenario is one split of one task. Splits of a task share rows, so scenarios are not independent: tasks are the
clusters. Every draw of a mean is linear in the values, so 10,000 draws of any number of columns are one matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from reports.stats.statistics import CONFIDENCE, DRAWS, TEST_TRAIN_RATIO, Floats

FEW_TASKS = 5
"""With fewer tasks the page says that intervals are wide."""


@dataclass(frozen=True)
class Resampling:
    """Draws of scenarios, the same for all columns, so that differences between columns stay paired.

    Attributes
    ----------
    sizes : tuple of int
        [T] splits per task; scenarios stand task by task.
    weights : [draws, T + S] float
        Weights of the deviations of tasks (from the overall mean) and of scenarios (from their task's mean), with the
        two corrections of :func:`reports.stats.statistics.hierarchical_bootstrap` for small numbers.
    ratio : float
        n_test / n_train.
    """

    sizes: tuple[int, ...]
    weights: Floats
    ratio: float = TEST_TRAIN_RATIO

    @property
    def freedom(self) -> int:
        """Degrees of freedom of intervals: tasks − 1, splits − 1 for a single task; 0: no interval is possible."""
        return len(self.sizes) - 1 if len(self.sizes) > 1 else sum(self.sizes) - 1

    @property
    def quantile(self) -> float:
        """Upper t quantile of a 95 % interval; nan without a degree of freedom."""
        return float(special.stdtrit(self.freedom, (1 + CONFIDENCE) / 2)) if self.freedom > 0 else math.nan

    def task_means(self, values: Floats) -> Floats:
        """[T, K] means over the splits of each task of [S, K] values."""
        starts = np.cumsum((0, *self.sizes[:-1]))
        means: Floats = np.add.reduceat(values, starts, axis=0) / np.array(self.sizes)[:, None]
        return means

    def means(self, values: Floats) -> Floats:
        """[K] means over tasks of their means over splits."""
        result: Floats = self.task_means(values).mean(axis=0)
        return result

    def deviations(self, values: Floats) -> Floats:
        """[draws, K] deviations of drawn means from :meth:`means`, for [S, K] values without nan."""
        tasks = self.task_means(values)
        inner = values - np.repeat(tasks, self.sizes, axis=0)
        result: Floats = self.weights @ np.vstack([tasks - tasks.mean(axis=0), inner])
        return result

    def variance_of_noise(self, variance: float) -> float:
        """Variance of the mean when every scenario's value has independent noise of ``variance``."""
        splits = float(np.mean([1 / n + self.ratio for n in self.sizes]))
        return variance * splits / len(self.sizes)


def resampling(
    sizes: Sequence[int], rng: np.random.Generator, draws: int = DRAWS, ratio: float = TEST_TRAIN_RATIO
) -> Resampling:
    """Draw tasks with replacement, then for every drawn task as many splits as it has, with replacement.

    Parameters
    ----------
    sizes : sequence of int
        Splits per task, at least one task and one split each.
    rng : Generator
    draws : int
    ratio : float
        n_test / n_train.
    """
    tasks = len(sizes)
    chosen = rng.multinomial(tasks, np.full(tasks, 1 / tasks), size=draws)
    stretch = math.sqrt(tasks / (tasks - 1)) if tasks > 1 else 0.0
    parts = [stretch * chosen / tasks]
    for task, n in enumerate(sizes):
        # all slots that drew this task together: the counts of several draws of n splits add up
        counts = rng.multinomial(chosen[:, task] * n, np.full(n, 1 / n))
        wide = math.sqrt((1 + ratio * n) * n / (n - 1)) if n > 1 else 0.0
        parts.append(wide * counts / (n * tasks))
    return Resampling(tuple(sizes), np.hstack(parts), ratio)
