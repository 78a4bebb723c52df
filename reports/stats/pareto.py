"""Which methods nobody beats on both axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def front(utility: NDArray[np.float64], disparity: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Members of the Pareto front: larger ``utility``, smaller ``disparity``.

    A point is on the front when no other point is at least as good on both axes and better on one; equal points are
    all members. A point with nan is never a member. Pass *validation* values: a front chosen on test values is an
    oracle, not a result.

    Parameters
    ----------
    utility, disparity : [m] float

    Returns
    -------
    [m] bool
    """
    known = ~(np.isnan(utility) | np.isnan(disparity))
    as_good = (utility[:, None] >= utility[None, :]) & (disparity[:, None] <= disparity[None, :])
    better = (utility[:, None] > utility[None, :]) | (disparity[:, None] < disparity[None, :])
    beaten = (as_good & better & known[:, None]).any(axis=0)
    result: NDArray[np.bool_] = known & ~beaten
    return result
