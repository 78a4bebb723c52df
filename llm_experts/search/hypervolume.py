"""Hypervolume against a frozen reference, and the rule that stops a search by it."""

from __future__ import annotations

from collections.abc import Sequence

from optuna._hypervolume import compute_hypervolume
from torch import Tensor


def reference_point(losses: Tensor) -> Tensor:
    """[m] reference: the worst of each objective among losses [P, m], and a tenth of their extent beyond.

    Frozen before the first generation (from the true anchors), so that volumes of all rounds can be compared.
    """
    worst, best = losses.amax(0), losses.amin(0)
    return worst + 0.1 * (worst - best)


def hypervolume(losses: Tensor, reference: Tensor) -> float:
    """Exact volume that points [P, m] dominate up to the reference (While, Bradstreet & Barone, IEEE TEC 2012: WFG).

    A point beyond the reference in any objective counts for nothing.
    """
    inside = losses[(losses < reference).all(1)]
    if not len(inside):
        return 0.0
    return float(compute_hypervolume(inside.numpy(), reference.numpy()))


def stalled(volumes: Sequence[float], gain: float | None, window: int) -> bool:
    """Whether the volume grew by less than ``gain`` (relative) over the last ``window`` generations.

    Never before there is any volume (no feasible point yet), never with ``gain`` None.
    """
    if gain is None or len(volumes) <= window or volumes[-1 - window] <= 0:
        return False
    before = volumes[-1 - window]
    return (volumes[-1] - before) / before < gain
