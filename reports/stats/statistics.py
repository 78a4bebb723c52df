"""Intervals, tests and corrections for numbers measured on repeated splits.

Splits of one data set share rows, so their values are not independent and the plain t interval is too short. Every
interval here uses the variance of Nadeau & Bengio, "Inference for the Generalization Error", Machine Learning 52
(2003): the variance of the mean of J splits is ``(1/J + n_test/n_train) · s²`` instead of ``s²/J``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from metrics.holm import holm

TEST_TRAIN_RATIO = 0.5
"""Rows of the test part per row of the training part, where data are cut 50 % / 25 % / 25 %.

It is used for the intervals of single tasks. For protocols with capped training parts it is kept: there splits share
few training rows, and the ratio of the rows would be far too cautious. Intervals over tasks of several sources do not
depend on it.
"""

CONFIDENCE = 0.95
"""Level of every interval and test."""
DRAWS = 10_000
ROUNDING = 1e-12
"""Values that differ by less are the same number, summed in another order."""
ROUNDED = 1 / 12
"""Variance of a number that was rounded to the next whole one, in squared steps."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % interval and the p-value of "the mean is 0".

    ``low``, ``high`` and ``p`` are nan when there are fewer than two values. ``freedom``: degrees of freedom of the t
    quantile; 0 where there is no interval.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int
    freedom: float = 0.0

    @property
    def half(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2


def corrected_interval(values: Sequence[float] | Floats, ratio: float = TEST_TRAIN_RATIO) -> Interval:
    """Corrected resampled t interval and test (Nadeau & Bengio 2003, eq. 9 with the variance of §5).

    Parameters
    ----------
    values : [J] float
        One value per split; for a comparison, the paired differences. nan values (not estimable) are left out.
    ratio : float
        n_test / n_train, at least 0; 0 gives the plain one-sample t interval.

    Returns
    -------
    Interval
        t quantiles with J − 1 degrees of freedom. Values without spread have the spread of rounding: see
        :func:`rounding_variance`; only values that are all 0 have an interval of length 0 (p = 1).
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    n = len(known)
    mean = float(known.mean()) if n else math.nan
    if n < 2:
        return Interval(mean, math.nan, math.nan, math.nan, n)
    spread = float(known.var(ddof=1)) if np.ptp(known) > ROUNDING else rounding_variance(mean)
    return t_interval(mean, math.sqrt((1 / n + ratio) * spread), n - 1, n)


def level_interval(values: Sequence[float] | Floats, ratio: float = TEST_TRAIN_RATIO) -> Interval:
    """:func:`corrected_interval` of values that are no differences, such as accuracies.

    Values that agree to the last digit show no spread, and how coarsely they are rounded does not follow from their
    size: they have a mean and no interval.
    """
    found = corrected_interval(values, ratio)
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if len(known) < 2 or np.ptp(known) > ROUNDING:
        return found
    return Interval(found.mean, math.nan, math.nan, math.nan, found.n)


def rounding_variance(mean: float) -> float:
    """Variance that differences without spread must be granted.

    Rows are counted, so differences are whole steps. All equal to ``mean``, they say that a step is at most
    ``|mean|``, and what is rounded to a step has the variance ``ROUNDED`` · step². Two splits that agree are thus never
    sure; without this they always were, whatever they agree on.
    """
    return ROUNDED * mean**2 if abs(mean) > ROUNDING else 0.0


def t_interval(mean: float, error: float, freedom: float, n: int) -> Interval:
    """Mean ± t · error, and the two-sided p-value of "the mean is 0"; ``n`` is what the interval counts."""
    if error <= ROUNDING:
        return Interval(mean, mean, mean, 1.0 if abs(mean) <= ROUNDING else math.nan, n, freedom)
    half = _quantile(freedom) * error
    p = float(2 * special.stdtr(freedom, -abs(mean) / error))
    return Interval(mean, mean - half, mean + half, p, n, freedom)


@lru_cache
def _quantile(freedom: float) -> float:
    """Upper t quantile of the interval."""
    return float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2))


def hierarchical_bootstrap(
    values: Sequence[Sequence[float] | Floats],
    rng: np.random.Generator,
    ratio: float = TEST_TRAIN_RATIO,
    draws: int = DRAWS,
) -> Interval:
    """Mean over tasks of their means over splits, with a bootstrap over tasks and then over their splits.

    The bootstrap gives the standard error. Percentiles of a handful of tasks are far too short (three tasks with
    the same sign would always be "sure"), so the interval is mean ± t · error with T − 1 degrees of freedom for T
    tasks, and J − 1 for a single one. Two more corrections for small numbers: deviations of tasks are stretched by
    √(T/(T−1)), and deviations of splits by √((1 + ratio·J)·J/(J−1)), so that a single task gets
    :func:`corrected_interval`.

    Parameters
    ----------
    values : sequence of [J_t] float
        Per task one value per split; nan values are left out, and so are tasks without a value.
    rng : Generator
    ratio : float
        n_test / n_train.
    draws : int
        Bootstrap draws.

    Returns
    -------
    Interval
        ``n`` is the number of tasks; nan ends with fewer than two values in all. Split noise is part of the spread of
        tasks too and thus counted twice: the interval is rather too long than too short. Differences without spread
        have that of rounding: see :func:`rounding_variance`.
    """
    known = [row[~np.isnan(row)] for row in (np.asarray(v, dtype=np.float64) for v in values)]
    known = [row for row in known if len(row)]
    n = len(known)
    mean = float(np.mean([row.mean() for row in known])) if known else math.nan
    if sum(map(len, known)) < 2:
        return Interval(mean, math.nan, math.nan, math.nan, n)
    error = float(_bootstrap_means(known, rng, ratio, draws).std())
    if error <= ROUNDING:
        error = math.sqrt(rounding_variance(mean) * float(np.mean([1 / len(row) + ratio for row in known])) / n)
    return t_interval(mean, error, n - 1 if n > 1 else len(known[0]) - 1, n)


def _bootstrap_means(tasks: Sequence[Floats], rng: np.random.Generator, ratio: float, draws: int) -> Floats:
    """[draws] means over resampled tasks of their means over resampled splits."""
    n = len(tasks)
    stretch = math.sqrt(n / (n - 1)) if n > 1 else 0.0
    centre = float(np.mean([row.mean() for row in tasks]))
    chosen = rng.integers(n, size=(draws, n))
    means = np.empty(chosen.shape)
    for task, row in enumerate(tasks):
        # every slot that drew this task gets its own resampled splits
        slots = chosen == task
        means[slots] = centre + stretch * (row.mean() - centre) + _split_noise(row, rng, ratio, int(slots.sum()))
    result: Floats = means.mean(axis=1)
    return result


def _split_noise(row: Floats, rng: np.random.Generator, ratio: float, count: int) -> Floats:
    """[count] deviations of bootstrap means of ``row``, with the variance of :func:`corrected_interval`."""
    n = len(row)
    if n == 1:
        return np.zeros(count)
    sample: Floats = (row - row.mean())[rng.integers(n, size=(count, n))].mean(axis=-1)
    return math.sqrt((1 + ratio * n) * n / (n - 1)) * sample


def rank_interval(
    own: Floats, others: Sequence[Floats], larger_is_better: bool, ratio: float = TEST_TRAIN_RATIO
) -> tuple[int, int]:
    """Ranks that the data cannot rule out for one method among ``others`` (marginal interval for a rank).

    1 + the number of methods that are surely better, to m − the number that are surely worse; "surely": paired
    corrected t test over splits, Holm-corrected over the comparisons with this method (Mogstad et al., "Inference for
    Ranks", Review of Economic Studies 2024, with a paired test of differences).

    Parameters
    ----------
    own : [J] float
        The method's values, one per split.
    others : sequence of [J] float
        The other methods' values on the same splits.
    larger_is_better : bool
    ratio : float
        n_test / n_train.

    Returns
    -------
    (best, worst) : int
        1-based, both inclusive.
    """
    sign = 1.0 if larger_is_better else -1.0
    tests = [corrected_interval(sign * (own - other), ratio) for other in others]
    sure = [p < 1 - CONFIDENCE for p in holm([test.p for test in tests])]
    worse = sum(s and test.mean > 0 for s, test in zip(sure, tests, strict=True))
    better = sum(s and test.mean < 0 for s, test in zip(sure, tests, strict=True))
    return 1 + better, len(others) + 1 - worse
