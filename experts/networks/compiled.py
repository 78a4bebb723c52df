"""A compiled kernel for lanes on small tables: many optimiser steps of every lane without returning to Python.

A step of one lane on a few hundred rows is a handful of microseconds of arithmetic, which eager tensor operations spend
on being called. Here a lane's step is two small matrix products with everything between them fused, so that its
activations never leave the processor's first cache. What is computed is what
:class:`experts.networks.trainer.LaneRun` computes with tensors, which stays the reference: the same batches, dropout
masks, losses, clipping and Adam; results differ by rounding alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from experts.networks.adam import BETAS, EPSILON, LaneAdam
from experts.networks.batches import Batch
from experts.networks.lanes import SLOPE as LEAK
from experts.networks.lanes import DropoutMasks
from metrics.surrogates import SHARPNESS as SHARP

SLOPE, SHARPNESS, ONE = np.float32(LEAK), np.float32(SHARP), np.float32(1.0)
BLOCK_ROWS = 512
"""Rows worked on at once: their activations stay in the first cache."""
BLOCK_FLOATS = 1 << 22
"""Floats of batches that one call holds at once (16 MiB)."""


def _part(function: Any) -> Any:
    """A part of the kernel, taken into it before anything is compiled."""
    return njit(inline="always", error_model="numpy")(function)


def _kernel(function: Any) -> Any:
    """The kernel, compiled under strict arithmetic.

    With leave to reorder sums or to fuse products, the last bits would depend on how loops are cut, which may depend on
    where arrays lie in memory: a run that was killed would not end in the same bytes.
    """
    return njit(cache=True, nogil=True, error_model="numpy")(function)


@_part
def _forward(first, second, offset, columns, mask, start, hidden, margins):  # type: ignore[no-untyped-def]
    """Margins [m] of a block of rows under dropout; ``hidden`` [h, m] becomes the slopes."""
    np.dot(first, columns, hidden)
    margins[:] = offset
    for unit in range(hidden.shape[0]):
        weight = second[unit]
        for row in range(hidden.shape[1]):
            before = hidden[unit, row]
            slope = mask[unit, start + row] * (ONE if before > 0 else SLOPE)
            margins[row] += weight * (before * slope)
            hidden[unit, row] = slope


@_part
def _flow(upstream, slopes, rows, product, total):  # type: ignore[no-untyped-def]
    """Add (slopes ⊙ upstream) · rows [h, d+1] of a block to ``total``; see ``lanes.dropout_backward``."""
    for unit in range(slopes.shape[0]):
        for row in range(slopes.shape[1]):
            slopes[unit, row] *= upstream[row]
    np.dot(slopes, rows, product)
    total += product


@_part
def _sum(values):  # type: ignore[no-untyped-def]
    """Sum in eight strands, which the processor adds up side by side."""
    strands = np.zeros(8, np.float32)
    whole = len(values) // 8 * 8
    for start in range(0, whole, 8):
        for strand in range(8):
            strands[strand] += values[start + strand]
    result = np.float32(0.0)
    for strand in range(8):
        result += strands[strand]
    for place in range(whole, len(values)):
        result += values[place]
    return result


@_part
def _backward(upstream, first, second, total, gradient):  # type: ignore[no-untyped-def]
    """Gradient [P] of Σ upstream · margins, laid out like theta."""
    units, width = first.shape
    for unit in range(units):
        for column in range(width):
            gradient[unit * width + column] = second[unit] * total[unit, column]
        gradient[units * width + unit] = np.dot(first[unit], total[unit])
    gradient[units * width + units] = _sum(upstream)


@_part
def _sigmoid(margin):  # type: ignore[no-untyped-def]
    return ONE / (ONE + np.exp(-margin))


@_part
def _adam(theta, mean, square, gradient, lr, decay, clip, step):  # type: ignore[no-untyped-def]
    norm = np.dot(gradient, gradient)
    shrink = min(np.float32(clip) / (np.sqrt(norm) + np.float32(1e-6)), ONE)
    if norm != norm:
        shrink = norm
    scale = math.sqrt(1.0 - BETAS[1] ** step)
    rate = np.float32(lr * (scale / (1.0 - BETAS[0] ** step)))
    small = np.float32(EPSILON * scale)
    slow, fast = np.float32(1.0 - BETAS[0]), np.float32(1.0 - BETAS[1])
    for k in range(len(theta)):
        g = gradient[k] * shrink + decay * theta[k]
        mean[k] += slow * (g - mean[k])
        square[k] = np.float32(BETAS[1]) * square[k] + fast * g * g
        theta[k] -= rate * mean[k] / (np.sqrt(square[k]) + small)


@_part
def _extremes(rates, known):  # type: ignore[no-untyped-def]
    """Places of the largest and the smallest known rate; equal places: there is no gap."""
    high, low = -1, -1
    for group in range(len(rates)):
        if known[group]:
            if high < 0 or rates[group] > rates[high]:
                high = group
            if low < 0 or rates[group] < rates[low]:
                low = group
    return high, low


@_part
def _shares(weights, rates, share, known):  # type: ignore[no-untyped-def]
    """Write each row's share [2g, n] of every group's rate, and which rates [2g] the rows give."""
    wide, n = share.shape
    for rate in range(wide):
        for row in range(n):
            share[rate, row] = weights[row] * rates[rate, row]
        total = _sum(share[rate])
        known[rate] = total > 0
        if total > 0:
            share[rate] /= total


@_part
def _soft_gaps(probability, sharpness, weight, share, known, rates, upstream):  # type: ignore[no-untyped-def]
    """Add the gradient of ``weight`` · (DP gap + EO gap) of soft rates to ``upstream`` [n]."""
    wide, n = share.shape
    for rate in range(wide):
        rates[rate] = np.dot(probability, share[rate])
    groups = wide // 2
    for start in (0, groups):
        high, low = _extremes(rates[start : start + groups], known[start : start + groups])
        if high >= 0 and high != low:
            for row in range(n):
                slope = weight * sharpness * probability[row] * (ONE - probability[row])
                upstream[row] += slope * (share[start + high, row] - share[start + low, row])


@_part
def _distance(first, means, known, weight, centres, gradient):  # type: ignore[no-untyped-def]
    """Add the gradient of ``weight`` · the largest mean squared distance of two groups' centres."""
    units, width = first.shape
    np.dot(first, means, centres)  # [h, g]
    best, one, other = np.float32(-1.0), -1, -1
    for a in range(means.shape[1]):
        for b in range(a + 1, means.shape[1]):
            if known[a] and known[b]:
                size = np.float32(0.0)
                for unit in range(units):
                    size += (centres[unit, a] - centres[unit, b]) ** 2
                if size > best:
                    best, one, other = size, a, b
    if one >= 0:
        for unit in range(units):
            slope = weight * np.float32(2.0) / np.float32(units) * (centres[unit, one] - centres[unit, other])
            for column in range(width):
                gradient[unit * width + column] += slope * (means[column, one] - means[column, other])


@_part
def _transpose(rows, columns):  # type: ignore[no-untyped-def]
    """Write rows [m, d+1] as columns [d+1, m], flat."""
    m, width = rows.shape
    for column in range(width):
        for row in range(m):
            columns[column * m + row] = rows[row, column]


@_part
def _lane(  # type: ignore[no-untyped-def]
    theta, mean, square, lr, decay, clip, step, rows, columns, targets, weights, mask, fair, rep, share, known, means,
    hidden, margins, upstream, product, total, gradient, rates, centres, probability,
):  # fmt: skip
    """One optimiser step of one lane, a block of rows at a time.

    Group gaps join all rows: with them margins are computed first, and every block's hidden layer once more.
    """
    units, width = product.shape
    n = len(margins)
    first = theta[: units * width].reshape(units, width)
    second = theta[units * width : units * width + units]
    total[:] = np.float32(0.0)
    for phase in range(2 if fair > 0 and n > BLOCK_ROWS else 1):
        for start in range(0, n, BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, n)
            block = hidden[: units * (stop - start)].reshape(units, stop - start)
            own = columns[start * width : stop * width].reshape(width, stop - start)
            _forward(first, second, theta[-1], own, mask, start, block, margins[start:stop])
            if phase == 0:
                for row in range(start, stop):
                    probability[row] = _sigmoid(margins[row])
                    upstream[row] = (probability[row] - targets[row]) * weights[row]
            if fair <= 0 or phase == 1:
                _flow(upstream[start:stop], block, rows[start:stop], product, total)
        if fair > 0 and phase == 0:
            quarter = fair / np.float32(4.0)  # mean of plain and sharpened, mean of DP and EO
            _soft_gaps(probability, ONE, quarter, share, known, rates, upstream)
            for row in range(n):
                probability[row] = _sigmoid(SHARPNESS * margins[row])
            _soft_gaps(probability, SHARPNESS, quarter, share, known, rates, upstream)
            if n <= BLOCK_ROWS:
                _flow(upstream, hidden[: units * n].reshape(units, n), rows, product, total)
    _backward(upstream, first, second, total, gradient)
    if rep > 0:
        _distance(first, means, known, rep, centres, gradient)
    _adam(theta, mean, square, gradient, lr, decay, clip, step)


@_kernel
def _advance(  # type: ignore[no-untyped-def]
    theta, mean, square, lr, decay, clip, done, units, rows, targets, weights, rates, means, strip, starts, fair, rep
):
    """Take as many optimiser steps of every lane as there are dropout masks; changes theta, mean and square.

    Parameters
    ----------
    theta, mean, square : [K, P] float32
        Weights of the lanes and the two moments of Adam.
    lr, decay : [K] float32
    clip : float
        Largest norm of a gradient.
    done : int
        Steps that Adam has taken before.
    units : int
        Hidden units, h.
    rows : [B, n, d+1] float32
        Rows of every batch, with the column of ones; a single batch serves all steps.
    targets : [B, n] float32
    weights : [B, 1 or K, n] float32
        Weights of the rows in the mean cross-entropy; they sum to 1.
    rates : [B, 2·g, n] float32
        See :func:`metrics.surrogates.rate_weights`.
    means : [B, 1 or K, d+1, g] float32
        Mean row of each group.
    strip, starts : [S] float32, [steps] int64
        Dropout masks: h·n numbers of the strip from each start.
    fair, rep : [K] float32
        Weights of the soft gaps and of the representation distance.
    """
    n, width = rows.shape[1], rows.shape[2]
    wide, groups = rates.shape[1], means.shape[3]
    columns, hidden = np.empty(width * n, np.float32), np.empty(units * min(n, BLOCK_ROWS), np.float32)
    product, total = np.empty((units, width), np.float32), np.empty((units, width), np.float32)
    margins, upstream, probability = np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.float32)
    gradient = np.empty(theta.shape[1], np.float32)
    share, known = np.empty((wide, n), np.float32), np.empty(wide, np.bool_)
    found, centres = np.empty(wide, np.float32), np.empty((units, groups), np.float32)
    each, penalised = weights.shape[1] > 1, fair.max() > 0 or rep.max() > 0
    for s in range(len(starts)):
        here = min(s, len(rows) - 1)
        if s == here:
            for start in range(0, n, BLOCK_ROWS):
                _transpose(rows[here, start : start + BLOCK_ROWS], columns[start * width :])
        mask = strip[starts[s] : starts[s] + units * n].reshape(units, n)
        if penalised and not each:
            _shares(weights[here, 0], rates[here], share, known)
        for lane in range(len(theta)):
            own, centre = min(lane, weights.shape[1] - 1), min(lane, means.shape[1] - 1)
            if each and (fair[lane] > 0 or rep[lane] > 0):
                _shares(weights[here, own], rates[here], share, known)
            _lane(
                theta[lane], mean[lane], square[lane], lr[lane], decay[lane], clip, done + s + 1, rows[here], columns,
                targets[here], weights[here, own], mask, fair[lane], rep[lane], share, known, means[here, centre],
                hidden, margins, upstream, product, total, gradient, found, centres, probability,
            )  # fmt: skip


def block_steps(batch_rows: int, features: int, *, full: bool) -> int:
    """Steps that one call may take, so that its batches stay within ``BLOCK_FLOATS``."""
    return 1 << 20 if full else max(1, BLOCK_FLOATS // (batch_rows * (features + 1)))


def advance(
    optimiser: LaneAdam,
    batches: Sequence[Batch],
    masks: DropoutMasks,
    steps: int,
    *,
    hidden: int,
    clip: float,
    fair: Tensor,
    rep: Tensor,
) -> None:
    """Take optimiser steps of lanes of plain rows under cross-entropy, soft gaps and representation distance.

    Parameters
    ----------
    optimiser : LaneAdam
        Holds the lanes [K, P]; changed in place.
    batches : sequence of Batch
        One per step, or a single one for all of them; without a second layer.
    masks : DropoutMasks
        Gives the masks of the steps.
    steps, hidden : int
    clip : float
        Largest Euclidean norm of a lane's gradient.
    fair, rep : [K] float32
        Weights of the two terms of the result role; 0: cross-entropy alone.
    """
    moments, rates = optimiser.moments, optimiser.rates
    starts, strip = masks.starts(len(batches[0]), steps), masks.strip
    penalised = bool((fair > 0).any() or (rep > 0).any())
    _advance(
        optimiser.theta.numpy(), moments[0].numpy(), moments[1].numpy(), rates[0].numpy(), rates[1].numpy(), clip,
        optimiser.steps, hidden, _stacked(batches, lambda b: b.rows), _stacked(batches, lambda b: b.targets),
        _stacked(batches, _weights), _stacked(batches, lambda b: _rates(b, penalised)),
        _stacked(batches, lambda b: _means(b, penalised)), strip.numpy(), starts.numpy(), fair.numpy(), rep.numpy(),
    )  # fmt: skip
    optimiser.steps += steps


def _stacked(batches: Sequence[Batch], part: Any) -> Any:
    return np.ascontiguousarray(torch.stack([part(batch) for batch in batches]).numpy())


def _weights(batch: Batch) -> Tensor:
    """[1 or K, n] weights that sum to 1."""
    weights = batch.relative_weights
    return torch.full((1, len(batch)), 1 / len(batch)) if weights is None else weights


def _rates(batch: Batch, penalised: bool) -> Tensor:
    """[2·g, n]; no row where nothing asks for rates."""
    return batch.rates.T if penalised else torch.empty(0, len(batch))


def _means(batch: Batch, penalised: bool) -> Tensor:
    """[1 or K, d+1, g]; no group where nothing asks for centres."""
    if not penalised:
        return torch.empty(1, batch.rows.shape[1], 0)
    means = batch.group_means
    return (means if means.ndim == 3 else means[None]).mT
