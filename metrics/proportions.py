"""Proportions: quotients, Wilson's interval of independent trials, and what trials without exception leave open."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054
"""97.5 % quantile of the standard normal: half the length of a 95 % interval, in standard errors."""


def quotient(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """[...] quotient of two arrays of one shape; nan where the denominator is 0."""
    nothing: NDArray[np.float64] = np.full(np.shape(denominator), np.nan)
    found: NDArray[np.float64] = np.divide(numerator, denominator, out=nothing, where=denominator != 0)
    return found


def wilson(hits: float, n: float, z: float = Z) -> tuple[float, float]:
    """Wilson's score interval for ``hits`` in ``n`` trials (JASA 1927), in [0, 1]; nan for n = 0.

    ``z`` is half its length in standard errors, by default that of 95 %: :func:`quantile` has those of other levels.
    """
    if n == 0:
        return math.nan, math.nan
    z2 = z**2
    centre = (hits + z2 / 2) / (n + z2)
    half = math.sqrt(z2 * (hits * (n - hits) / n + z2 / 4)) / (n + z2)
    return max(0.0, centre - half), min(1.0, centre + half)


def quantile(alpha: float) -> float:
    """Half the length of an interval of level 1 − ``alpha``, in standard errors of a normal distribution."""
    return NormalDist().inv_cdf(1 - alpha / 2)


def unseen_share(trials: float) -> float:
    """Largest share of exceptions that ``trials`` trials without one leave open, at 95 % (two-sided Clopper-Pearson).

    3.7 / trials for many trials; one-sided it is the "rule of three".
    """
    return float(1 - 0.025 ** (1 / trials))
