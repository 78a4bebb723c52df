"""How the experts of a mixture are used, and how much they disagree."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor


@dataclass(frozen=True)
class Specialisation:
    """How the experts are used.

    Attributes
    ----------
    effective_experts : float
        exp(H(mean weights)), in [1, m]: how many experts are in use overall.
    row_experts : float
        exp(mean of H(weights of a row)), in [1, m]: how many share a row.
    disagreement : float
        Mean over rows and pairs of experts of |p_j - p_k|.
    """

    effective_experts: float
    row_experts: float
    disagreement: float


def _entropy(weights: Tensor) -> Tensor:
    return -torch.xlogy(weights, weights).sum(-1)


def specialisation(weights: Tensor, probabilities: Tensor) -> Specialisation:
    """Use of the experts from weights and probabilities [n, m]."""
    values = weights.double()
    pairs = [
        (probabilities[:, j] - probabilities[:, k]).abs().mean()
        for j, k in combinations(range(probabilities.shape[-1]), 2)
    ]
    return Specialisation(
        effective_experts=float(_entropy(values.mean(0)).exp()),
        row_experts=float(_entropy(values).mean().exp()),
        disagreement=float(torch.stack(pairs).mean()) if pairs else 0.0,
    )
