"""The pass over rows, compiled: every probability adds to a few whole numbers.

Sums are whole numbers too (probabilities and squared errors in units of 2⁻³⁰): whatever the order in which rows or
chunks come, the bytes are the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from metrics.calibration import BINS

FINE = BINS * 256
"""Equal-width bins (lower, upper] of the histograms.

A power of two times the bins of the calibration error: the product of a float32 with either rounds alike, so that a
fine bin lies in one of them. Bins that end at 0.5 tell the decision.
"""
UNIT = 2.0**30
"""Sums of probabilities and of squared errors are in units of 1/UNIT."""
_BLOCK = 1 << 13
_WIDTH = np.float32(FINE)
_FINE, _BINS = np.uint64(FINE), np.uint64(BINS)
_WIDE = np.uint64((FINE // BINS).bit_length() - 1)


def _part(function: Any) -> Any:
    """A part of the kernel, taken into it before anything is compiled."""
    return njit(inline="always", error_model="numpy")(function)


@_part
def _prepare(probability, cells, places, units, ends):  # type: ignore[no-untyped-def]
    """Write bins and units of a block's probabilities, all in [0, 1]; their squared errors in units."""
    square = np.int64(0)
    low, high = ends[0], ends[1]
    for row in range(len(probability)):
        p = probability[row]
        scaled = p * _WIDTH
        place = np.int32(scaled)
        upper = np.int32(np.float32(place) == scaled) & np.int32(place > 0)  # upper ends belong to their bin
        places[row] = place - upper
        wide = np.float64(p)
        units[row] = np.int32(wide * UNIT + 0.5)
        error = wide - (cells[row] & 1)
        square += np.int64(np.int32(error * error * UNIT + 0.5))
        low, high = min(low, p), max(high, p)
    ends[0], ends[1] = low, high
    return square


@_part
def _count_bad(probability):  # type: ignore[no-untyped-def]
    bad = 0
    for row in range(len(probability)):
        p = probability[row]
        bad += not (p >= 0 and p <= 1)
    return bad


@njit(cache=True, nogil=True, error_model="numpy")
def count_rows(probability, cells, fine, sums, squares, ends, broken) -> Any:  # type: ignore[no-untyped-def]
    """Add rows to what was counted of K models; the number of probabilities outside [0, 1].

    Parameters
    ----------
    probability : [K, r] float32
    cells : [r] int32
        2 · group + label.
    fine : [K, 2g, FINE] int64
        Rows by cell and probability.
    sums : [K, g, BINS] int64
        Probability by group and bin of the calibration error, in units.
    squares : [K] int64
        Squared error, in units.
    ends : [K, 2] float32
        Smallest and largest probability.
    broken : [K] int64
        Rows whose probability is nan.
    """
    wild = 0
    places, units = np.empty(_BLOCK, np.int32), np.empty(_BLOCK, np.int32)
    for model in range(len(probability)):  # one after the other: a model's counts stay in the second cache
        by_cell, by_group = fine[model].ravel(), sums[model].ravel()
        for start in range(0, len(cells), _BLOCK):
            own, of = probability[model][start : start + _BLOCK], cells[start : start + _BLOCK]
            if _count_bad(own):
                wild += np.sum(own < 0) + np.sum(own > 1)
                broken[model] += np.sum(np.isnan(own))
                fit = (own >= 0) & (own <= 1)
                own, of = own[fit], of[fit]
            squares[model] += _prepare(own, of, places, units, ends[model])
            for row in range(len(own)):
                cell, place = np.uint64(of[row]), np.uint64(places[row])  # unsigned: no index counts from the end
                by_cell[cell * _FINE + place] += 1
                by_group[(cell >> np.uint64(1)) * _BINS + (place >> _WIDE)] += units[row]
    return wild
