"""Hypervolume against a frozen reference, and the rule that stops a search by it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def reference_point(losses: Tensor) -> Tensor:
    """[m] reference: the worst of each objective among losses [P, m], and a tenth of their extent beyond.

    Frozen before the first generation (from the true anchors), so that volumes of all rounds can be compared.
    """
    worst, best = losses.amax(0), losses.amin(0)
    return worst + 0.1 * (worst - best)


def hypervolume(losses: Tensor, reference: Tensor) -> float:
    """Exact volume that points [P, m] dominate up to the reference, by slices of the last objective.

    While, Hingston, Barone & Huband, IEEE TEC 2006 (HSO): exact, and fast enough for fronts of two to four objectives.
    A point beyond the reference in any objective counts for nothing.
    """
    inside = losses[(losses < reference).all(1)]
    if not len(inside):
        return 0.0
    return _volume(inside.double().numpy(), reference.double().numpy())


def _volume(points: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Volume of the union of the boxes between points [P, m], all below the reference, and the reference [m]."""
    points = np.unique(points, axis=0)  # sorted by the first objective
    if points.shape[1] == 1:
        return float(reference[0] - points[0, 0])
    if points.shape[1] == 2:
        lowest = np.minimum.accumulate(points[:, 1])
        widths = np.diff(np.append(points[:, 0], reference[0]))
        return float((widths * (reference[1] - lowest)).sum())
    points = points[np.argsort(points[:, -1], kind="stable")]
    heights = np.diff(np.append(points[:, -1], reference[-1]))
    slices = ((count, height) for count, height in enumerate(heights, 1) if height > 0)
    return float(sum(height * _volume(points[:count, :-1], reference[:-1]) for count, height in slices))


def stalled(volumes: Sequence[float], gain: float | None, window: int) -> bool:
    """Whether the volume grew by less than ``gain`` (relative) over the last ``window`` generations.

    Never before there is any volume (no feasible point yet), never with ``gain`` None.
    """
    if gain is None or len(volumes) <= window or volumes[-1 - window] <= 0:
        return False
    before = volumes[-1 - window]
    return (volumes[-1] - before) / before < gain
