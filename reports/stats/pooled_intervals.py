"""Intervals of means over tasks, clustered by source, in closed form and for any number of pairs at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import special

from reports.stats.clusters import cluster_freedom, cluster_scores, membership
from reports.stats.statistics import CONFIDENCE, ROUNDED, ROUNDING, TEST_TRAIN_RATIO, Floats, Interval


def pooled_intervals(
    values: Floats, sources: Sequence[int] | None = None, ratio: float = TEST_TRAIN_RATIO
) -> dict[str, Floats]:
    """Means over tasks of means over splits, with t intervals whose error is clustered by source.

    Every task weighs the same; error and degrees of freedom are those of :mod:`reports.stats.clusters`. The spread of
    task means holds all that moves them, the splits of a task too, so these are not added a second time. Tasks of one
    source alone say nothing about other sources: their interval is over splits, with the mean of the tasks' corrected
    variances (as if tasks moved together) and the degrees of freedom of the task with the fewest splits; a single task
    thus gets :func:`reports.stats.statistics.corrected_interval`. Differences without spread have that of rounding
    (:func:`reports.stats.statistics.rounding_variance`): tasks that agree are never sure for that reason alone.

    Parameters
    ----------
    values : [..., T, J] float
        One value per task and split; nan where there is none.
    sources : [T] int, optional
        Number of each task's source; every task is its own without it.
    ratio : float
        n_test / n_train.

    Returns
    -------
    dict
        "mean", "low", "high", "p", "freedom", "n" (tasks) and "sources", each [...]; nan ends where no interval is
        possible.
    """
    known = ~np.isnan(values)
    count = known.sum(-1)
    has = count > 0
    own = np.where(known, values, 0.0).sum(-1) / np.maximum(count, 1)
    n = has.sum(-1)
    tasks = np.maximum(n, 1)
    mean = np.where(n > 0, np.where(has, own, 0.0).sum(-1) / tasks, np.nan)
    member = membership(tuple(range(values.shape[-2]) if sources is None else sources))
    there = has.astype(np.float64)
    clusters = (there @ member > 0).sum(-1)
    one = clusters < 2
    across = (cluster_scores(np.where(has, own - mean[..., None], 0.0), there, member) ** 2).sum(-1)
    scale = np.where(has, 1 / np.maximum(count, 1) + ratio, 0.0)
    within = (scale * _split_variance(values, known, own, count)).sum(-1) / tasks
    fewest = np.where(has, count, np.iinfo(np.int64).max).min(-1, initial=np.iinfo(np.int64).max) - 1
    freedom = np.where(one, np.where(n > 0, fewest, 0), cluster_freedom(there, member))
    error = np.where((n > 0) & (freedom > 0), np.sqrt(np.where(one, within, across)), np.nan)
    rounded = ROUNDED * mean**2 * scale.sum(-1) / tasks / np.maximum(clusters, 1)
    error = np.where(error <= ROUNDING, np.sqrt(rounded), error)
    return _ends(mean, error, freedom) | {"n": n, "sources": clusters}


def _split_variance(values: Floats, known: Floats, own: Floats, count: Floats) -> Floats:
    """[..., T] variance of each task's splits; 0 for a single one."""
    squares = np.where(known, (values - own[..., None]) ** 2, 0.0).sum(-1)
    found: Floats = np.where(count > 1, squares / np.maximum(count - 1, 1), 0.0)
    return found


def _ends(mean: Floats, error: Floats, freedom: Floats) -> dict[str, Floats]:
    flat = error <= ROUNDING
    degrees = np.where(freedom > 0, freedom, 1.0)
    t = np.abs(mean) / np.where(flat | np.isnan(error), 1.0, error)
    p = np.where(np.isnan(error), np.nan, np.where(flat, 1.0, 2 * special.stdtr(degrees, -t)))
    half = special.stdtrit(degrees, (1 + CONFIDENCE) / 2) * error
    return {"mean": mean, "low": mean - half, "high": mean + half, "p": p, "freedom": np.where(freedom > 0, degrees, 0)}


def interval_at(found: Mapping[str, Floats], place: tuple[int, ...]) -> Interval:
    """One of the intervals of :func:`pooled_intervals`."""
    mean, low, high, p, freedom = (float(found[key][place]) for key in ("mean", "low", "high", "p", "freedom"))
    return Interval(mean, low, high, p, int(found["n"][place]), freedom)


def pooled_interval(rows: Sequence[Floats], sources: Sequence[int] | None = None) -> Interval:
    """The interval of one mean over tasks.

    Parameters
    ----------
    rows : sequence of [J_t] float
        Per task one value per split, as many as it has.
    sources : [T] int, optional
    """
    cube = np.full((len(rows), max((len(row) for row in rows), default=0)), np.nan)
    for task, row in enumerate(rows):
        cube[task, : len(row)] = row
    return interval_at(pooled_intervals(cube, sources), ())
