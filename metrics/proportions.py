"""Proportions: quotients, Wilson's interval of independent trials, and what trials without exception leave open."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054
"""97.5 % quantile of the standard normal: half the length of a 95 % interval, in standard errors."""


def quotient(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """[...] quotient of two arrays of one shape; nan where the denominator is 0."""
    nothing: NDArray[np.float64] = np.full(np.shape(denominator), np.nan)
    found: NDArray[np.float64] = np.divide(numerator, denominator, out=nothing, where=denominator != 0)
    return found


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
