"""Elastic weight consolidation: what an earlier task needs is held in place (Kirkpatrick et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad, vmap


def fisher_diagonal(logprob: Callable[..., Tensor], theta: Tensor, *samples: Tensor, chunk: int = 32) -> Tensor:
    """Diagonal of the Fisher information, ``F_i = mean over samples of (∂ log p(y|x; θ) / ∂θ_i)²``.

    The gradient of every sample is squared, not the gradient of a batch: the square of a mean is not the mean of
    squares.

    Parameters
    ----------
    logprob : callable
        ``logprob(theta [P], *sample) -> scalar``.
    theta : [P]
    samples : tensors [n, ...]
        The empirical Fisher takes y from the data, the true one draws y from the model.
    chunk : int
        Samples whose gradients are held at once.

    Returns
    -------
    [P]
    """
    each = vmap(grad(logprob), in_dims=(None, *[0] * len(samples)))
    total, n = torch.zeros_like(theta), len(samples[0])
    for start in range(0, n, chunk):
        total += each(theta, *(s[start : start + chunk] for s in samples)).square().sum(0)
    return total / n


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
