"""How much more data would settle a comparison that this run leaves open.

Asked of the difference that was seen, taken as the true one: how many sources (or splits of one task) a run needs so
that the two-sided test at 5 % finds it 8 times of 10. The spread is the run's own, so the number is an estimate of the
order of magnitude, and told as such.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import special

from reports.stats.power import detectable
from reports.stats.statistics import CONFIDENCE, TEST_TRAIN_RATIO, Interval

MOST = 1000
"""More than so many are not told: differences that small do not matter."""


def enough_sources(interval: Interval, sources: int) -> int | None:
    """Sources that would settle a difference over tasks of several sources; None for more than ``MOST``.

    Parameters
    ----------
    interval : Interval
        Of the mean difference, clustered by source.
    sources : int
        How many it has, at least 2.
    """
    error = _error(interval)
    return _fewest(interval.mean, lambda n: error * math.sqrt(sources / n))


def enough_splits(interval: Interval, ratio: float = TEST_TRAIN_RATIO) -> int | None:
    """Splits that would settle a difference on one task; None where no number would, because splits share rows.

    Parameters
    ----------
    interval : Interval
        Corrected resampled interval of the mean difference over ``interval.freedom + 1`` splits.
    ratio : float
        n_test / n_train.
    """
    spread = _error(interval) / math.sqrt(1 / (interval.freedom + 1) + ratio)
    return _fewest(interval.mean, lambda n: spread * math.sqrt(1 / n + ratio))


def _error(interval: Interval) -> float:
    """Standard error behind an interval; nan without one."""
    if not interval.freedom > 0:
        return math.nan
    return interval.half / float(special.stdtrit(interval.freedom, (1 + CONFIDENCE) / 2))


def _fewest(mean: float, error: Callable[[int], float]) -> int | None:
    def found(n: int) -> bool:
        return detectable(float(n - 1)) * error(n) <= abs(mean)

    if not found(MOST):
        return None
    low, high = 1, MOST  # not enough, enough: more data never find less
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high
