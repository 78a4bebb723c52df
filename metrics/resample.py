"""Resampling of rows: bootstrap weights, shuffled groups, and how draws become an interval.

All parts of a score that need rows (AUC, calibration, procedural measures, composites) share one set of weights, so
that draws of different metrics belong together: the interval of ``utility - fair_res - fair_proc`` keeps their
correlation. Metrics of counts alone do not need rows at all: see :mod:`metrics.counts.tables`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metrics.spec import Bias
from metrics.value import Status, Value

_BLOCK_BYTES = 64 << 20  # of float32 weights alive at once


@dataclass(frozen=True)
class Resampled:
    """A metric's point estimate with its bootstrap draws and its permutation null.

    Attributes
    ----------
    estimate : float
        The metric on the rows as they are; nan if not estimable.
    draws : [B] float64 or None
        The metric on B bootstrap samples of the rows; nan where a draw is not estimable.
    null : [P] float64 or None
        The metric under P shuffles of group membership; None for metrics without groups.
    status, reason : str
        As in :class:`metrics.value.Value`.
    deviations : [B] float64 or None
        How far the draws' group values lie from the observed ones in the metric's norm (:mod:`metrics.deviations`).
    exact : (float, float) or None
        Bounds that hold where resampling does not see the spread (:mod:`metrics.counts.exact`); the interval reaches at
        least as far.
    """

    estimate: float
    draws: Tensor | None = None
    null: Tensor | None = None
    status: Status = "ok"
    reason: str = ""
    deviations: Tensor | None = None
    exact: tuple[float, float] | None = None

    def value(self, bias: Bias = "none", bounds: tuple[float, float] = (-math.inf, math.inf)) -> Value:
        """The value with its 95 % interval (:func:`interval`), and the 95th percentile and moments of its null."""
        if self.status == "not_estimable" or math.isnan(self.estimate):
            return Value.not_estimable(self.reason or "the metric is not defined on these rows")
        low, high = interval(self.estimate, self.draws, bias, bounds, self.deviations)
        if self.exact is not None and not math.isnan(low):
            low, high = min(low, self.exact[0]), max(high, self.exact[1])
        (null_p95,) = _quantiles(self.null, 0.95)
        null_mean, null_sd = _moments(self.null)
        return Value(self.estimate, low, high, null_p95, self.status, self.reason, null_mean, null_sd)


def interval(
    estimate: float,
    draws: Tensor | None,
    bias: Bias = "none",
    bounds: tuple[float, float] = (-math.inf, math.inf),
    deviations: Tensor | None = None,
) -> tuple[float, float]:
    """95 % bootstrap interval of a metric from its draws; (nan, nan) without finite draws.

    Notes
    -----
    The percentile interval [q.025, q.975] is right for rates and means. It fails for an absolute gap near 0: draws of
    |a - b| lie above |a - b|, so the lower end never reaches 0 and a true gap of 0 is never covered. So a statistic
    that resampling shifts *up* keeps the percentile upper end, and its lower end is ``estimate - c``: c is the 95th
    percentile of ``deviations`` where these are known (valid for any number of groups), else ``q.975 - estimate`` (the
    basic, reflected interval: right for two groups, too short for many). A statistic that is shifted *down* (minimum,
    ratio) gets the mirror image. Ends are clipped to the metric's range. For two groups this is the interval of the
    signed gap folded at 0; for more it is conservative where one gap is far larger than the others. A rate of exactly 0
    or 1 has no spread under resampling: there the bounds of :mod:`metrics.counts.exact` widen what is found here.
    """
    low, high = _quantiles(draws, 0.025, 0.975)
    (reach,) = _quantiles(deviations, 0.95)
    if bias == "up":
        low = min(low, estimate - (high - estimate if math.isnan(reach) else reach))
    elif bias == "down":
        high = max(high, estimate + (estimate - low if math.isnan(reach) else reach))
    return _clip(low, bounds), _clip(high, bounds)


def row_weights(n: int, draws: int, generator: np.random.Generator) -> Tensor:
    """Bootstrap weights: how often each of ``n`` rows is in each of ``draws`` samples of ``n`` rows with replacement.

    Returns
    -------
    [B, n] float32 up to 64 MiB, above that uint8 (166 MB for 1,000 draws of 166,450 rows); every row sums to n.
    :func:`weighted_sums` takes either.
    """
    small = 4 * draws * n <= _BLOCK_BYTES
    weights = np.empty((draws, n), dtype=np.float32 if small else np.uint8)
    for row in weights:
        row[:] = np.bincount(generator.integers(0, n, size=n), minlength=n)
    return torch.from_numpy(weights)


def row_blocks(draws: int, n: int) -> list[slice]:
    """Slices over draws, so that a block of float32 weights [b, n] takes at most 64 MiB."""
    step = max(1, _BLOCK_BYTES // (4 * max(n, 1)))
    return [slice(start, min(start + step, draws)) for start in range(0, draws, step)]


def weighted_sums(weights: Tensor, columns: Tensor) -> Tensor:
    """[B, c] float64 sums ``weights @ columns`` of [B, n] weights (any dtype) and [n, c] columns, in blocks.

    Products are float32: sums of 0/1 columns are exact below 2**24 rows.
    """
    columns = columns.to(torch.float32)
    blocks = [weights[block].to(torch.float32) @ columns for block in row_blocks(*weights.shape)]
    return torch.cat(blocks).to(torch.float64) if blocks else torch.empty(0, columns.shape[1], dtype=torch.float64)


def shuffled_groups(groups: Tensor, n_groups: int, permutations: int, generator: np.random.Generator) -> Tensor:
    """[P, n] uint8 (int64 above 256 groups): group ids dealt out anew to the rows, group sizes kept.

    Every row gets a random 32-bit key; the n_0 smallest are group 0, the next n_1 group 1, and so on. (Equal keys at
    a border, about one permutation in 2**32 / n, may move one row across.)
    """
    sizes = torch.bincount(groups, minlength=n_groups).numpy()
    n = int(groups.numel())
    borders = np.cumsum(sizes)[:-1]
    borders = borders[borders < n]  # trailing empty groups have no border
    dealt = np.zeros((permutations, n), dtype=np.uint8 if n_groups <= 256 else np.int64)
    for block in row_blocks(permutations, 16 * n) if borders.size else ():
        keys = _random_keys(dealt[block].shape, generator)
        for key in np.partition(keys, borders, axis=1)[:, borders].T:
            dealt[block] += keys >= key[:, None]
    return torch.from_numpy(dealt)


def _random_keys(shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.uint32]:
    """Uniform 32-bit keys; two per 64-bit draw, twice as fast as drawing them one by one."""
    count = math.prod(shape)
    wide = generator.integers(0, 2**64, size=(count + 1) // 2, dtype=np.uint64)
    return wide.view(np.uint32)[:count].reshape(shape)


def _clip(end: float, bounds: tuple[float, float]) -> float:
    return end if math.isnan(end) else min(max(end, bounds[0]), bounds[1])


def _finite(draws: Tensor | None) -> NDArray[np.float64]:
    """The draws that are numbers."""
    return np.empty(0) if draws is None else draws[torch.isfinite(draws)].to(torch.float64).numpy()


def _moments(draws: Tensor | None) -> tuple[float, float]:
    """Mean and standard deviation of the finite draws; nan where there are none."""
    finite = _finite(draws)
    return (float(finite.mean()), float(finite.std())) if finite.size else (math.nan, math.nan)


def _quantiles(draws: Tensor | None, *levels: float) -> tuple[float, ...]:
    """Quantiles of the finite draws; nan where there are none."""
    finite = _finite(draws)
    if finite.size == 0:
        return (math.nan,) * len(levels)
    return tuple(float(q) for q in np.quantile(finite, levels))
