"""Intervals of means over tasks in closed form, for any number of pairs at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import special

from reports.stats.statistics import CONFIDENCE, ROUNDED, ROUNDING, TEST_TRAIN_RATIO, Floats, Interval


def pooled_intervals(values: Floats, ratio: float = TEST_TRAIN_RATIO) -> dict[str, Floats]:
    """Means over tasks of means over splits, with the interval of ``hierarchical_bootstrap`` in closed form.

    The variance that :func:`reports.stats.statistics.hierarchical_bootstrap` draws is (s² + mean of the tasks'
    corrected split variances) / T, with the variance s² of the T task means; so all pairs of methods can be had at
    once. Differences without spread have that of rounding, as there.

    Parameters
    ----------
    values : [..., T, J] float
        One value per task and split; nan where there is none.
    ratio : float
        n_test / n_train.

    Returns
    -------
    dict
        "mean", "low", "high", "p" and "n" (tasks), each [...]; nan ends where there are fewer than two values.
    """
    known = ~np.isnan(values)
    count = known.sum(-1)
    has = count > 0
    own = np.where(known, values, 0.0).sum(-1) / np.maximum(count, 1)
    spread = np.where(known, (values - own[..., None]) ** 2, 0.0).sum(-1) / np.maximum(count - 1, 1)
    noise = np.where(count > 1, (1 / np.maximum(count, 1) + ratio) * spread, 0.0)
    n = has.sum(-1)
    tasks = np.maximum(n, 1)
    mean = np.where(n > 0, np.where(has, own, 0.0).sum(-1) / tasks, np.nan)
    between = np.where(has, (own - mean[..., None]) ** 2, 0.0).sum(-1) / np.maximum(n - 1, 1)
    variance = (np.where(n > 1, between, 0.0) + np.where(has, noise, 0.0).sum(-1) / tasks) / tasks
    freedom = np.where(n > 1, n - 1, count.sum(-1) - 1)
    error = np.where((n > 0) & (freedom > 0), np.sqrt(variance), np.nan)
    rounded = ROUNDED * mean**2 * np.where(has, 1 / np.maximum(count, 1) + ratio, 0.0).sum(-1) / tasks**2
    error = np.where(error <= ROUNDING, np.sqrt(rounded), error)
    flat = error <= ROUNDING
    degrees = np.maximum(freedom, 1)
    t = np.abs(mean) / np.where(flat | np.isnan(error), 1.0, error)
    p = np.where(flat, 1.0, 2 * special.stdtr(degrees, -t))
    half = special.stdtrit(degrees, (1 + CONFIDENCE) / 2) * error
    return {"mean": mean, "low": mean - half, "high": mean + half, "p": np.where(np.isnan(error), np.nan, p), "n": n}


def interval_at(found: Mapping[str, Floats], place: tuple[int, ...]) -> Interval:
    """One of the intervals of :func:`pooled_intervals`."""
    mean, low, high, p = (float(found[key][place]) for key in ("mean", "low", "high", "p"))
    return Interval(mean, low, high, p, int(found["n"][place]))
