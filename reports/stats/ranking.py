"""Ranks of methods over scenarios: mean rank, interval, the ranks taken in a bootstrap, and groups that tie.

A scenario is one split of one task (data set × target × groups, rows, protocol, use of the sensitive columns); training
seeds are averaged inside it and are never evidence of their own. Methods are ranked within each scenario, ties share
their mean rank. Splits of a task share rows, and so do tasks of a source, so sources are the unit of the bootstrap
(:mod:`reports.stats.resampling`).

Only methods with a number on every scenario can be compared by rank. A method that was asked for on some tasks alone
(text experts, graph methods) is ranked in a pool of those tasks; one that lost cells is named with what it lacks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from foundation.seeding import named_generator
from metrics.holm import holm
from reports.method import Method
from reports.names import larger_is_better
from reports.stats.resampling import Resampling
from reports.stats.statistics import CONFIDENCE, ROUNDED, ROUNDING, Floats

LACKS = ("failed", "timeout", "not_estimable", "absent")
"""Why a scenario has no number of a method."""

Bools = NDArray[np.bool_]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Ranked:
    """One method on one metric.

    Attributes
    ----------
    mean, low, high : float
        Mean rank over scenarios (every task weighs the same) and its 95 % interval; nan ends with one scenario.
    best, worst : int
        The middle 95 % of the places that the method takes in the bootstrap, widened to its own place, 1-based, both
        inclusive. Percentiles: with a handful of tasks they are too short, the interval of the mean rank is not.
    first, last : int
        Its tie groups, numbered from the best: "2–3" belongs to two groups that overlap.
    """

    method: Method
    mean: float
    low: float
    high: float
    best: int
    worst: int
    first: int
    last: int

    @property
    def place(self) -> str:
        """``2–5``."""
        return _range(self.best, self.worst)

    @property
    def group(self) -> str:
        """``1`` or ``2–3``."""
        return _range(self.first, self.last)


@dataclass(frozen=True)
class Unranked:
    """A method without a number on some scenarios; ``lacking`` counts them by status, one of ``LACKS``."""

    method: Method
    lacking: Mapping[str, int]
    asked: int

    @property
    def missing(self) -> int:
        """Scenarios without a number."""
        return sum(self.lacking.values())


@dataclass(frozen=True)
class Ranking:
    """All methods of a pool on one metric.

    Attributes
    ----------
    rows : tuple of Ranked
        Best mean rank first.
    unranked : tuple of Unranked
    tied : [M, M] bool
        Whether two of ``rows`` are not separable (paired difference of mean ranks, Holm over all pairs).
    groups : tuple of (int, int)
        Tie groups as first and last place in ``rows``, 0-based, both inclusive: see :func:`cliques`.
    sizes : tuple of int
        Counted splits of each task.
    left_out : tuple of str
        Scenarios on which most methods have no number; they do not count for anybody.
    """

    metric: str
    rows: tuple[Ranked, ...]
    unranked: tuple[Unranked, ...]
    tied: Bools
    groups: tuple[tuple[int, int], ...]
    sizes: tuple[int, ...]
    left_out: tuple[str, ...]
    task_values: Floats
    """[T, M] task means of the metric, columns as in ``rows``."""
    sources: tuple[int, ...] = ()
    """[T] number of each task's source."""

    def of(self, method: str) -> Ranked | Unranked | None:
        """What is known of a method."""
        found: list[Ranked | Unranked] = [*self.rows, *self.unranked]
        return next((row for row in found if row.method.id == method), None)

    @property
    def scenarios(self) -> int:
        """Scenarios that count."""
        return sum(self.sizes)


def ranks(values: Floats, larger: bool) -> Floats:
    """[S, M] ranks within each scenario, 1 is best; values that differ by rounding alone share their mean rank."""
    signed = -values if larger else values
    better = np.zeros(values.shape)
    equal = np.zeros(values.shape)
    for method in range(values.shape[1]):
        difference = signed - signed[:, [method]]
        better[:, method] = (difference < -ROUNDING).sum(axis=1)
        equal[:, method] = (np.abs(difference) <= ROUNDING).sum(axis=1)
    result: Floats = 1 + better + (equal - 1) / 2
    return result


def cliques(tied: Bools) -> list[tuple[int, int]]:
    """Longest runs of neighbours in which no two are separable, as (first, last), both inclusive.

    The bars of a critical-difference diagram. Every method is in at least one run; a run of one is a method that is
    surely different from both neighbours.
    """
    n = len(tied)
    runs: list[tuple[int, int]] = []
    for first in range(n):
        last = first
        while last + 1 < n and tied[first : last + 1, last + 1].all():
            last += 1
        if not runs or last > runs[-1][1]:
            runs.append((first, last))
    return runs


def rank_methods(
    metric: str,
    methods: Sequence[Method],
    values: Floats,
    statuses: Sequence[Mapping[int, str]],
    names: Sequence[tuple[str, int]],
    draw: Callable[[Mapping[str, int]], Resampling],
) -> Ranking:
    """Rank the methods of a pool on one metric.

    Parameters
    ----------
    metric : str
    methods : sequence of Method
        M methods.
    values : [S, M] float
        One value per scenario and method, nan where there is none.
    statuses : sequence of mappings
        Per method: scenario → why there is no number, where more is known than that the cell is absent.
    names : sequence of (task, split)
        The scenarios, those of a task side by side.
    draw : callable
        Counted splits of each task → :class:`Resampling`.
    """
    counted = _counted(values)
    here = values[counted]
    dense = np.asarray(~np.isnan(here).any(axis=0), dtype=np.bool_)
    splits = Counter(names[i][0] for i in counted)
    sizes = tuple(splits.values())
    unranked = tuple(_lacking(methods[k], values[:, k], counted, statuses[k]) for k in np.flatnonzero(~dense).tolist())
    kept = set(counted.tolist())
    left_out = tuple(f"{task}, split {split}" for i, (task, split) in enumerate(names) if i not in kept)
    chosen = np.flatnonzero(dense)
    if not len(counted) or not len(chosen):
        empty = np.zeros((0, 0))
        return Ranking(metric, (), unranked, empty.astype(bool), (), sizes, left_out, empty)
    place = ranks(here[:, chosen], larger_is_better(metric))
    drawn = draw(splits)
    order = np.argsort(drawn.means(place), kind="stable")
    chosen, place = chosen[order], place[:, order]
    mean, half, spans, tied = _bootstrap(place, drawn)
    runs = tuple(cliques(tied))
    rows = _rows([methods[k] for k in chosen.tolist()], mean, half, spans, runs)
    return Ranking(
        metric, rows, unranked, tied, runs, sizes, left_out, drawn.task_means(here[:, chosen]), drawn.sources
    )


def _lacking(method: Method, values: Floats, counted: Places, statuses: Mapping[int, str]) -> Unranked:
    gone = [i for i in counted.tolist() if math.isnan(values[i])]
    return Unranked(method, Counter(statuses.get(i, "absent") for i in gone), len(counted))


def _rows(
    methods: Sequence[Method],
    mean: Floats,
    half: Floats,
    spans: Sequence[tuple[int, int]],
    runs: Sequence[tuple[int, int]],
) -> tuple[Ranked, ...]:
    """One row per method, best first; a mean rank cannot leave 1 … M, and so cannot its interval."""
    rows = []
    for k, method in enumerate(methods):
        own = [group for group, (first, last) in enumerate(runs, start=1) if first <= k <= last]
        # without a half-width both ends are nan, and clip keeps them so
        low, high = np.clip([mean[k] - half[k], mean[k] + half[k]], 1.0, len(methods)).tolist()
        rows.append(Ranked(method, float(mean[k]), low, high, *spans[k], own[0], own[-1]))
    return tuple(rows)


def _counted(values: Floats) -> Places:
    """Scenarios on which at least half of the methods that have the metric at all have a number."""
    known = ~np.isnan(values)
    able = known.any(axis=0)
    if not able.any():
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(2 * known[:, able].sum(axis=1) >= able.sum()).astype(np.int64)


def _bootstrap(place: Floats, drawn: Resampling) -> tuple[Floats, Floats, list[tuple[int, int]], Bools]:
    """Mean ranks, half-widths of their intervals, spans of places, and which pairs are not separable."""
    n = place.shape[1]
    mean = drawn.means(place)
    if drawn.freedom <= 0:
        return mean, np.full(n, math.nan), [(1, n)] * n, np.ones((n, n), dtype=bool)
    deviations = drawn.deviations(place)
    # ranks are whole numbers: without this, scenarios on which two methods keep their order would make any order sure
    noise = drawn.variance_of_noise(ROUNDED)
    covariance = drawn.covariance(place) + noise * np.eye(n)
    half = drawn.quantile * np.sqrt(np.diag(covariance))
    rng = named_generator("places", str(n))
    smooth = deviations + math.sqrt(noise) * rng.standard_normal(deviations.shape)
    return mean, half, _places(mean + smooth), _tied(mean, covariance, drawn.freedom)


def _places(draws: Floats) -> list[tuple[int, int]]:
    """Middle 95 % of the places of each column of [draws, M] mean ranks, columns in the order of the means."""
    count, n = draws.shape
    order = draws.argsort(axis=1)
    # the column at place k of a draw: how often each column takes each place
    taken = np.zeros((n, n))
    for k in range(n):
        taken[:, k] = np.bincount(order[:, k], minlength=n)
    share = taken.cumsum(axis=1) / count
    tail = (1 - CONFIDENCE) / 2
    best, worst = (share > tail).argmax(axis=1), (share >= 1 - tail).argmax(axis=1)
    own = np.arange(n)
    spans = zip(np.minimum(best, own).tolist(), np.maximum(worst, own).tolist(), strict=True)
    return [(a + 1, b + 1) for a, b in spans]


def _tied(mean: Floats, covariance: Floats, freedom: float) -> Bools:
    """[M, M] whether the paired difference of two mean ranks is not separable from 0, Holm over all pairs."""
    n = len(mean)
    a, b = np.triu_indices(n, 1)
    variance = np.diag(covariance)
    error = np.sqrt(variance[a] + variance[b] - 2 * covariance[a, b])
    p = 2 * special.stdtr(freedom, -np.abs(mean[a] - mean[b]) / error)
    tied = np.ones((n, n), dtype=bool)
    tied[a, b] = tied[b, a] = np.array(holm(p), dtype=np.float64) >= 1 - CONFIDENCE
    return tied


def _range(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}–{last}"
