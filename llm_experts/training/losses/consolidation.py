"""Elastic weight consolidation: what an earlier task needs is held in place (Kirkpatrick et al. 2017)."""

from __future__ import annotations

from torch import Tensor


def holding_penalty(theta: Tensor, anchor: Tensor, fisher: Tensor, strength: float) -> Tensor:
    """``(λ/2) Σ_i F_i (θ_i - θ*_i)²`` of every lane.

    Parameters
    ----------
    theta, anchor, fisher : [K, P], or broadcast to it
        Weights, those of the earlier task, and how much that task needs each.
    strength : float
        λ.

    Returns
    -------
    [K]
    """
    return 0.5 * strength * (fisher * (theta - anchor).square()).sum(-1)


def consolidated(earlier: Tensor, new: Tensor, decay: float) -> Tensor:
    """Online variant over a sequence of tasks, ``F ← γ F + F_new`` (Schwarz et al. 2018, eq. 9)."""
    return decay * earlier + new
