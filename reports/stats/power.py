"""The smallest effect that a run could have found: what "not separable" leaves open.

Said of the test that was made: two-sided at 5 %, the same standard error and degrees of freedom as the interval, before
any correction for several tests. An effect of this size is found 8 times of 10 (power 80 %), a smaller one less often.
The error is the run's own, so the number is an estimate; with few degrees of freedom a rough one.
"""

from __future__ import annotations

import math
from functools import lru_cache

from scipy import special

from reports.stats.statistics import CONFIDENCE, Interval

POWER = 0.80
"""Share of runs that find an effect of the size told."""


@lru_cache
def detectable(freedom: float) -> float:
    """Smallest true mean, in standard errors, whose two-sided t test at 5 % has power ``POWER``; nan without freedom.

    From the noncentral t distribution; 2.80 for many degrees of freedom (1.96 + 0.84).
    """
    if not freedom > 0:
        return math.nan
    critical = float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2))
    low, high = 0.1, 1.5 * critical + 1.5
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle, freedom, critical) < POWER else (low, middle)
    return high


def power(shift: float, freedom: float, critical: float | None = None) -> float:
    """Chance that the two-sided t test at 5 % finds a true mean of ``shift`` standard errors."""
    bound = float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2)) if critical is None else critical
    below = special.nctdtr(freedom, shift, bound)
    return float(1 - below + (special.nctdtr(freedom, shift, -bound) if shift < 5 else 0.0))


def smallest_effect(interval: Interval) -> float:
    """Smallest absolute effect that the interval's test would have found; nan without an interval, or of length 0."""
    if math.isnan(interval.half) or interval.half <= 0:
        return math.nan
    return detectable(interval.freedom) * interval.half / float(special.stdtrit(interval.freedom, (1 + CONFIDENCE) / 2))
