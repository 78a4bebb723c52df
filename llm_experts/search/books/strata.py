"""Bootstrap of items within domains: every draw has as many items of each domain as there are."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from foundation.seeding import numpy_generator
from metrics.proportions import unseen_share

DRAWS = 4000
ROUNDING = 1e-12


def stratified_weights(strata: Tensor, draws: int, seed: int) -> Tensor:
    """[B, n] float64, how often each item of strata [n] is drawn; within a stratum they add up to its size."""
    generator = numpy_generator(seed, "stratified bootstrap")
    weights = torch.zeros(draws, len(strata), dtype=torch.float64)
    for stratum in strata.unique().tolist():
        places = torch.nonzero(strata == stratum)[:, 0]
        size = len(places)
        weights[:, places] = torch.from_numpy(generator.multinomial(size, np.full(size, 1 / size), size=draws)).double()
    return weights


def percentile_ends(
    estimate: float, draws: Tensor, n: int, low: float, high: float, alpha: float = 0.05
) -> tuple[float, float]:
    """Percentile interval of level 1 − ``alpha`` within [low, high]; nan without finite draws.

    Where all draws are equal resampling sees no spread: the interval then is what ``n`` items without an exception
    leave open, times the range.
    """
    known = draws[torch.isfinite(draws)].numpy()
    if not len(known):
        return math.nan, math.nan
    if known.max() - known.min() > ROUNDING:
        ends = np.quantile(known, [alpha / 2, 1 - alpha / 2])
        return max(low, float(ends[0])), min(high, float(ends[1]))
    room = unseen_share(n) * (high - low)
    if not math.isfinite(room):
        return math.nan, math.nan
    return max(low, estimate - room), min(high, estimate + room)
