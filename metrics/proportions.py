"""Proportions of independent trials: Wilson's interval, and what trials without exception leave open."""

from __future__ import annotations

import math

Z = 1.959963984540054
"""97.5 % quantile of the standard normal: half the length of a 95 % interval, in standard errors."""


def wilson(hits: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % score interval for ``hits`` in ``n`` trials (JASA 1927), in [0, 1]; nan for n = 0."""
    if n == 0:
        return math.nan, math.nan
    z2 = Z**2
    centre = (hits + z2 / 2) / (n + z2)
    half = math.sqrt(z2 * (hits * (n - hits) / n + z2 / 4)) / (n + z2)
    return max(0.0, centre - half), min(1.0, centre + half)


def unseen_share(trials: float) -> float:
    """Largest share of exceptions that ``trials`` trials without one leave open, at 95 % (two-sided Clopper-Pearson).

    3.7 / trials for many trials; one-sided it is the "rule of three".
    """
    return float(1 - 0.025 ** (1 / trials))
