"""What a parameter p does to singular values: multipliers z, and mixtures of them.

z = exp(p): p = 0 is the identity, z is always positive, and equal steps up and down of p are equal factors. The code of
Transformer² squashes p through sigmoid(p) · max_mult instead, which has no p for the identity at hand (every weight
starts near half its size and is rescaled afterwards), stops at max_mult and cannot be mixed: a combination of p's is no
combination of multipliers. Mixtures are therefore made of z, after everything that an adapter does to its p.

Inside, *offsets* d = z − 1 are what is computed with: the identity is then exact, and small changes keep their digits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

P_OF_ZERO = -1e4
"""p of a multiplier of 0: log 0 has no finite value, and exp of this is 0 in every precision, exactly."""


def offsets(p: Tensor, s: Tensor, renormalise: bool) -> Tensor:
    """[r] effective multipliers minus one.

    Parameters
    ----------
    p : [r]
    s : [r]
        The singular values that p scales, at least 0.
    renormalise : bool
        Rescale all multipliers so that the sum of the scaled singular values stays what it was, z ← z · Σσ / Σ(σ z), as
        the code of Transformer² does: what all multipliers have in common has no effect then.
    """
    if not renormalise:
        return torch.expm1(p)
    z, tiny = p.exp(), torch.finfo(s.dtype).tiny  # a matrix of zeros has a sum of zero
    return z * ((s.sum() + tiny) / ((s * z).sum() + tiny)) - 1


def parameters_of(z: Tensor) -> Tensor:
    """The p of multipliers z ≥ 0: the inverse of exp. That of 0 is a number, so that it can be stored and loaded."""
    return z.log().clamp_min(P_OF_ZERO)


def mixed_offsets(d: Tensor, alpha: Tensor) -> Tensor:
    """[..., r] offsets of mixtures: Σ_k alpha_k d_k, not below −1; d is [K, r], alpha [..., K]."""
    return (alpha @ d).clamp_min(-1)


def mixed_z(zs: Tensor | Sequence[Tensor], alpha: Tensor) -> Tensor:
    """Multipliers of mixtures: z(α) = max(0, 1 + Σ_k α_k (z_k − 1)).

    α = 0 is the base, a one-hot α that expert; α need not sum to 1 and may be negative or above 1.

    Parameters
    ----------
    zs : [K, r]
        Effective multipliers of K experts of one matrix.
    alpha : [K] or [rows, K]
        One mixture, or one per row.

    Returns
    -------
    [r] or [rows, r]
        Differentiable in both.
    """
    stacked = zs if isinstance(zs, Tensor) else torch.stack(list(zs))
    return 1 + mixed_offsets(stacked - 1, alpha.to(stacked))
