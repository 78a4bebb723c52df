"""Draws of the calibration metrics from histograms: sums over bins and groups of resampled rows, to first order.

Resampling n rows gives every bin a number of rows and a sum of p - y, which for many rows are normal. Their spread
within a bin of ``FINE`` is taken to be none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrics.calibration import BINS
from metrics.tallies.kernel import FINE
from metrics.tallies.tally import Tally


@dataclass(frozen=True)
class CalibrationDraws:
    """Draws of one prediction's calibration metrics.

    Attributes
    ----------
    ece, brier : [B] float64
    excess : [B, g] float64
        Sum of p - y of each group, as if each group were drawn at its own size.
    """

    ece: NDArray[np.float64]
    brier: NDArray[np.float64]
    excess: NDArray[np.float64]

    @classmethod
    def of(cls, tally: Tally, model: int, draws: int, generator: np.random.Generator) -> CalibrationDraws:
        """From a tally."""
        rows = tally.fine[model].reshape(-1, 2, FINE).astype(np.float64)  # [g, label, FINE]
        middle = (np.arange(FINE) + 0.5) / FINE
        error = middle[None, :] - np.array([[0.0], [1.0]])  # [label, FINE]
        return cls(
            _ece(tally, model, rows.sum(0), error, generator.standard_normal((2, draws, BINS))),
            tally.brier(model) + _of_mean(rows.sum(0), error**2) * generator.standard_normal(draws),
            _by_group(tally, model, rows, error, generator.standard_normal((draws, len(rows)))),
        )


def _spread(rows: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """[...] standard deviation of values [label, m] over rows [..., label, m], along the last two axes."""
    count = np.maximum(rows.sum((-2, -1)), 1.0)
    mean = (rows * values).sum((-2, -1)) / count
    deviation: NDArray[np.float64] = np.sqrt(np.maximum((rows * values**2).sum((-2, -1)) / count - mean**2, 0.0))
    return deviation


def _of_mean(rows: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Standard error of the mean of values [label, m] over rows [label, m]."""
    return float(_spread(rows, values) / np.sqrt(rows.sum()))


def _ece(
    tally: Tally, model: int, rows: NDArray[np.float64], error: NDArray[np.float64], noise: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[B] expected calibration error: of every bin a normal number of rows and, given it, a normal sum."""
    binned = rows.reshape(2, BINS, -1).transpose(1, 0, 2)  # [BINS, label, fine]
    values = error.reshape(2, BINS, -1).transpose(1, 0, 2)
    count = binned.sum((1, 2))
    spread = np.array([_spread(r, v) for r, v in zip(binned, values, strict=True)])
    total = tally.excess(model).sum(0)
    mean = np.divide(total, count, out=np.zeros(BINS), where=count > 0)
    drawn = count + np.sqrt(count) * noise[0]
    sums = total + mean * (drawn - count) + np.sqrt(count) * spread * noise[1]
    found: NDArray[np.float64] = np.abs(sums).sum(1) / drawn.sum(1)
    return found


def _by_group(
    tally: Tally, model: int, rows: NDArray[np.float64], error: NDArray[np.float64], noise: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[B, g] sums of p - y."""
    spread: NDArray[np.float64] = np.sqrt(rows.sum((1, 2))) * _spread(rows, error) * noise
    found: NDArray[np.float64] = spread + tally.excess(model).sum(1)
    return found
