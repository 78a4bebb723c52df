"""What shuffled groups give on average over splits."""

from __future__ import annotations

import math

from scipy import special

from reports.stats.statistics import CONFIDENCE

TEST_SHARE = 0.25
"""Share of the rows in the test part of a split, in both protocols; two splits share as large a part of theirs."""


def null_of_mean(p95: float, mean: float, sd: float, splits: int) -> float:
    """95th percentile of a metric's mean over splits when groups are shuffled.

    A mean over splits varies less than one split does, so its null is narrower around the same centre; measured
    against one split's percentile, real gaps would be taken for chance. Two splits share a quarter of their test rows,
    so signed gaps of shuffled groups correlate by 1/4 between them, and gaps, even functions of these, by the square
    of it. What one split's percentile lies above that of a normal (gaps are skewed) fades with the spread.

    Parameters
    ----------
    p95, mean, sd : float
        Of the null within a split, averaged over splits. Without moments (tables of earlier versions) the answer is
        ``p95``, which is too large for more than one split.
    splits : int
        Splits that the mean is taken over.
    """
    if splits < 2 or math.isnan(mean) or math.isnan(sd) or sd == 0:
        return p95
    shrink = math.sqrt(1 / splits + (1 - 1 / splits) * TEST_SHARE**2)
    normal = float(special.ndtri(CONFIDENCE))
    skew = (p95 - mean) / sd - normal
    return mean + sd * shrink * (normal + skew * shrink)
