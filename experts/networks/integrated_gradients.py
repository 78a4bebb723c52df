"""Integrated gradients of the logit margin, baseline: all features unknown (0).

Sundararajan, Taly, Yan, "Axiomatic attribution for deep networks", ICML 2017. For one hidden layer the path
integral has a closed form. With u = W1 x, c = b1 and t = u + c, a hidden unit contributes its mean slope on the way
from c to t, and the mean slope of a leaky ReLU is α + (1 − α) φ, where φ is the share of the way on which the
pre-activation is positive: φ = clamp(max(t, c) / |t − c|, 0, 1). So

    IG_i(x) = x_i · Σ_j w2_j (α + (1 − α) φ_j) W1_ji ,

exactly, without steps, and differentiable in the parameters.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from experts.networks.lanes import SLOPE, LaneParameters, hidden, with_ones


def path_slopes(pre_activations: Tensor, bias: Tensor) -> Tensor:
    """[K, h, n] mean slope of each hidden unit between the baseline and each row.

    Parameters
    ----------
    pre_activations : [K, h, n]
        t = W1 x + b1.
    bias : [K, h]
        c = b1, the pre-activation at the baseline.
    """
    start = bias[..., None]
    way = (pre_activations - start).abs().clamp_min(1e-12)
    positive = (torch.maximum(pre_activations, start) / way).clamp(0.0, 1.0)
    return SLOPE + (1 - SLOPE) * positive


def attributions_of(pre_activations: Tensor, first: Tensor, second: Tensor, rows: Tensor) -> Tensor:
    """[K, n, d] attributions, given the pre-activations [K, h, n] of rows [n, d+1]; differentiable."""
    weighted = path_slopes(pre_activations, first[..., -1]) * second[..., None]
    return (weighted.mT @ first[..., :-1]) * rows[:, :-1]


def lane_attributions(parameters: LaneParameters, features: Tensor) -> Tensor:
    """[K, n, d] integrated gradients of features [n, d] for all lanes; Σ_i IG_i = margin(x) − margin(0)."""
    first, second, _ = parameters.split()
    rows = with_ones(features)
    return attributions_of(hidden(first, rows), first, second, rows)


def column_indicator(column_of_feature: Tensor, n_columns: int) -> Tensor:
    """[d, c] float32: 1 where a feature belongs to a source column."""
    return torch.nn.functional.one_hot(column_of_feature, n_columns).to(torch.float32)


def by_column(attributions: Tensor, indicator: Tensor) -> Tensor:
    """[..., c] sums over the features of each source column: signed, so that Σ over columns stays the same."""
    return attributions @ indicator


def integrated_gradients(margin: Callable[[Tensor], Tensor], features: Tensor, steps: int = 32) -> Tensor:
    """[n, d] integrated gradients of any differentiable margin, by the midpoint rule.

    Parameters
    ----------
    margin : callable
        [n, d] features to [n] margins, row by row.
    features : [n, d]
    steps : int
        Points on the straight way from 0 to each row.
    """
    total = torch.zeros_like(features)
    for step in range(steps):
        point = (features * ((step + 0.5) / steps)).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(margin(point).sum(), point)
        total += gradient
    return total / steps * features
