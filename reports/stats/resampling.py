"""Draws of means over scenarios whose sources are the clusters, for many columns at once.

A scenario is one split of one task. Splits of a task share rows, and so do tasks of a source, so scenarios are not
independent: sources are. A draw multiplies what each source adds to the mean
(:func:`reports.stats.clusters.cluster_scores`) by a standard normal number (the multiplier bootstrap of Chernozhukov,
Chetverikov & Kato, Annals of Statistics 41 (2013)), so that draws have the error of the intervals, and columns stay
paired. Every draw is linear in the values: 10,000 draws of any number of columns are one matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from reports.stats.clusters import cluster_freedom, cluster_scores, membership
from reports.stats.statistics import CONFIDENCE, DRAWS, TEST_TRAIN_RATIO, Floats

FEW_TASKS = 5
"""With fewer tasks the page says that intervals are wide."""


@dataclass(frozen=True)
class Resampling:
    """Multipliers, the same for all columns.

    Attributes
    ----------
    sizes : tuple of int
        [T] splits per task; scenarios stand task by task.
    sources : tuple of int
        [T] number of each task's source.
    multipliers : [draws, G or S] float
        Of sources; with a single source those of scenarios.
    ratio : float
        n_test / n_train.
    """

    sizes: tuple[int, ...]
    sources: tuple[int, ...]
    multipliers: Floats
    ratio: float = TEST_TRAIN_RATIO

    @cached_property
    def clusters(self) -> int:
        """Number of sources."""
        return len(set(self.sources))

    @cached_property
    def freedom(self) -> float:
        """Degrees of freedom of intervals; of a single source, splits − 1; 0: no interval is possible."""
        if self.clusters < 2:
            return min(self.sizes) - 1
        return float(cluster_freedom(np.ones(len(self.sizes)), membership(self.sources)))

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

    def scores(self, values: Floats) -> Floats:
        """[G or S, K] what each source (of a single source: each scenario) adds to the means; squares add up to V."""
        tasks = self.task_means(values)
        if self.clusters > 1:
            deviations = (tasks - tasks.mean(axis=0)).T
            return cluster_scores(deviations, np.ones(deviations.shape), membership(self.sources)).T
        inner = values - np.repeat(tasks, self.sizes, axis=0)
        splits = np.repeat(np.array(self.sizes, dtype=np.float64), self.sizes)[:, None]
        error = np.sqrt((1 / splits + self.ratio) / np.maximum(splits - 1, 1) / len(self.sizes))
        result: Floats = inner * error
        return result

    def deviations(self, values: Floats) -> Floats:
        """[draws, K] deviations of drawn means from :meth:`means`, for [S, K] values without nan."""
        result: Floats = self.multipliers @ self.scores(values)
        return result

    def covariance(self, values: Floats) -> Floats:
        """[K, K] covariance of the means, as the draws have it in the limit."""
        scores = self.scores(values)
        result: Floats = scores.T @ scores
        return result

    def variance_of_noise(self, variance: float) -> float:
        """Variance of the mean when every scenario's value has noise of ``variance``, the same in all of a source."""
        splits = float(np.mean([1 / n + self.ratio for n in self.sizes]))
        return variance * splits / self.clusters


def resampling(
    sizes: Sequence[int],
    rng: np.random.Generator,
    sources: Sequence[int] | None = None,
    draws: int = DRAWS,
    ratio: float = TEST_TRAIN_RATIO,
) -> Resampling:
    """Draw multipliers.

    Parameters
    ----------
    sizes : sequence of int
        Splits per task, at least one task and one split each.
    rng : Generator
    sources : sequence of int, optional
        Number of each task's source, 0 … G − 1; every task is its own without it.
    draws : int
    ratio : float
        n_test / n_train.
    """
    own = tuple(range(len(sizes)) if sources is None else sources)
    width = len(set(own)) if len(set(own)) > 1 else sum(sizes)
    return Resampling(tuple(sizes), own, rng.standard_normal((draws, width)), ratio)
