"""Friedman test and Holm-corrected Wilcoxon signed-rank tests over tasks.

Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7 (2006): the Friedman test asks whether
any method differs. As Benavoli, Corani & Mangili, "Should We Really Use Post-Hoc Tests Based on Mean-Ranks?", JMLR 17
(2016), recommend, pairs are tested by the Wilcoxon signed-rank test, whose answer on two methods does not depend on the
others. Tests need independent blocks; splits of one task share rows, and so do tasks of one source: every source gives
one value per method, the mean over its tasks of their means over splits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from metrics.holm import holm
from reports.names import larger_is_better
from reports.stats.ranking import Bools, cliques, ranks
from reports.stats.statistics import CONFIDENCE, ROUNDING, Floats

FEWEST_TASKS = 6
"""With fewer tasks no signed-rank test can reach p < 0.05: 2 / 2⁵ = 0.0625."""

ENUMERABLE = 13
"""Ties among so many differences are taken into account exactly: SciPy tries all 2¹³ patterns of signs."""


@dataclass(frozen=True)
class RankTests:
    """Rank tests over sources, one value per source.

    Attributes
    ----------
    tasks, methods : int
        Values per method (sources; tasks, where each is its own), and methods.
    statistic, p : float
        Friedman's χ² with its correction for ties, and its p-value; nan with fewer than two tasks or three methods.
    smallest : float
        The smallest p-value after Holm that a pair could reach if all tasks agreed.
    order : tuple of int
        Columns of the values, best mean rank over tasks first.
    means : tuple of float
        Their mean ranks, in that order.
    tied : [M, M] bool
        Pairs that the corrected signed-rank tests cannot separate, in that order.
    groups : tuple of (int, int)
        Longest runs that tie, in that order: see :func:`reports.stats.ranking.cliques`.
    """

    tasks: int
    methods: int
    statistic: float
    p: float
    smallest: float
    order: tuple[int, ...]
    means: tuple[float, ...]
    tied: Bools
    groups: tuple[tuple[int, int], ...]

    @property
    def powerful(self) -> bool:
        """Whether the signed-rank tests could separate any pair at all."""
        return self.tasks >= FEWEST_TASKS and self.smallest < 1 - CONFIDENCE


def friedman(place: Floats) -> tuple[float, float]:
    """Friedman's χ², corrected for ties, and its p-value of [T, M] ranks within tasks (ties share their mean rank)."""
    tasks, methods = place.shape
    if tasks < 2 or methods < 3:
        return math.nan, math.nan
    if not np.ptp(place, axis=1).any():
        return 0.0, 1.0
    found = stats.friedmanchisquare(*place.T)
    return float(found.statistic), float(found.pvalue)


def wilcoxon(differences: Floats) -> Floats:
    """[K] two-sided p-values of the exact Wilcoxon signed-rank test of [T, K] differences.

    Zeros are left out (Wilcoxon 1945); without any other value p is 1. Among more than ``ENUMERABLE`` differences with
    ties p is that of the next larger statistic without: rather too large than too small.
    """
    size = np.abs(differences)
    zero = size <= ROUNDING
    # ranks in place of sizes, so that what differs by rounding alone ties
    signed = np.where(zero, 0.0, np.sign(differences) * ranks(size.T, larger=False).T)
    p = np.asarray(stats.wilcoxon(signed, method="exact", axis=0).pvalue, dtype=np.float64)
    for k, column in enumerate(signed.T):
        known = column[column != 0]
        if len(np.unique(np.abs(known))) < len(known) <= ENUMERABLE:
            p[k] = stats.wilcoxon(known).pvalue  # tries all signs of so few
    return p


def rank_tests(metric: str, values: Floats, sources: Sequence[int] = ()) -> RankTests:
    """All tests of one metric.

    Parameters
    ----------
    metric : str
    values : [T, M] float
        One value per task and method, without nan.
    sources : [T] int, optional
        Number of each task's source; every task is its own without it.
    """
    values = _by_source(values, sources)
    tasks, methods = values.shape
    place = ranks(values, larger_is_better(metric))
    order = np.argsort(place.mean(axis=0), kind="stable")
    a, b = np.triu_indices(methods, 1)
    smallest = min(1.0, 2.0 ** (1 - tasks) * max(len(a), 1))
    tied = np.ones((methods, methods), dtype=bool)
    if tasks >= FEWEST_TASKS and smallest < 1 - CONFIDENCE:
        ordered = values[:, order]
        tested = holm(wilcoxon(ordered[:, a] - ordered[:, b]).tolist())
        tied[a, b] = tied[b, a] = np.array(tested, dtype=np.float64) >= 1 - CONFIDENCE
    means = tuple(place.mean(axis=0)[order].tolist())
    return RankTests(
        tasks, methods, *friedman(place), smallest, tuple(order.tolist()), means, tied, tuple(cliques(tied))
    )


def _by_source(values: Floats, sources: Sequence[int]) -> Floats:
    """[G, M] means over the tasks of each source."""
    if not len(sources):
        return values
    number = np.array(sources)
    return np.stack([values[number == source].mean(axis=0) for source in dict.fromkeys(sources)])
