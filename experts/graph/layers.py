"""The second graph layer: hidden layers are projected to one number per lane, operator and node before they propagate.

With the operators S_t of a kind (one for GCN and GIN; a node's own and its neighbours' mean for GraphSAGE) and what
the first layer sees of the nodes (X, propagated once), every lane is

    margin = Σ_t S_t (leaky_relu(X W1ᵀ + b1) w2_t) + b2 ,

so that sparse products carry one column per lane, not one per hidden unit.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import hardtanh, leaky_relu

from experts.graph.neighbourhood import Neighbourhood
from experts.networks.group_profiles import TINY
from experts.networks.integrated_gradients import path_slopes
from experts.networks.lanes import (
    SLOPE,
    LaneParameters,
    Parts,
    Workspace,
    dropout_activations,
    dropout_backward,
    hidden,
)

LANES_AT_ONCE = 8
"""Lanes whose hidden layers of all nodes are held at once when nothing is trained."""


def heads(second: Tensor, hidden_units: int) -> Tensor:
    """[K, t, h] weights of each operator."""
    return second.view(len(second), -1, hidden_units)


def spread(scalars: Tensor, around: Neighbourhood) -> Tensor:
    """[K, n] sums over operators of the nodes' numbers [K, t, m]; differentiable."""
    first, *others = (operator(scalars[:, t]) for t, operator in enumerate(around.operators))
    return sum(others, start=first)


def head_margins(pre_activations: Tensor, parts: Parts, around: Neighbourhood) -> Tensor:
    """[K, n] margins of the rows from pre-activations [K, h, m] of the nodes, without dropout; differentiable."""
    _, second, offset = parts
    scalars = torch.bmm(heads(second, pre_activations.shape[1]), leaky_relu(pre_activations, SLOPE))
    return spread(scalars, around) + offset


def graph_margins(parameters: LaneParameters, around: Neighbourhood, features: Tensor | None = None) -> Tensor:
    """[K, n] margins of the rows, without dropout; ``features`` [m, d+1] instead of the nodes' own."""
    parts = parameters.split()
    return head_margins(hidden(parts[0], around.features if features is None else features), parts, around)


def graph_forward(parts: Parts, around: Neighbourhood, mask: Tensor, workspace: Workspace) -> tuple[Tensor, Tensor]:
    """Margins [K, n] under dropout, and the nodes' slopes [K, h, m] that :func:`graph_backward` needs."""
    first, second, offset = parts
    activations, slopes = dropout_activations(first, around.features, mask, workspace)
    return spread(torch.bmm(heads(second, first.shape[1]), activations), around) + offset, slopes


def graph_backward(upstream: Tensor, slopes: Tensor, parts: Parts, around: Neighbourhood, out: Tensor) -> None:
    """Write the gradient of Σ upstream · margins into ``out`` [K, P]; overwrites the slopes.

    The nodes' share of the upstream gradient goes back through each operator's transpose, and from there on every
    operator's w2 belongs to an ordinary network of one hidden layer on the nodes.
    """
    first, second, offset = parts
    lanes, units, width = first.shape
    size = units * width
    weights = heads(second, units)
    d_second = heads(out[:, size:-1], units)
    for t, operator in enumerate(around.operators):
        last = t + 1 == len(around.operators)
        part = out.new_empty(lanes, size + units + 1)
        flow = slopes if last else slopes.clone()
        dropout_backward(operator.back(upstream), flow, (first, weights[:, t], offset), around.features, part)
        out[:, :size] = part[:, :size] if t == 0 else out[:, :size] + part[:, :size]
        d_second[:, t] = part[:, size:-1]
    out[:, -1] = upstream.sum(1)


class Explained(NamedTuple):
    """The nodes that are explained and how attributions are summed up.

    Attributes
    ----------
    around : Neighbourhood
    members : [n, g]
        Columns average over the rows of a group.
    weights : [K, n] or None
        Row weights of each lane.
    indicator : [c, d] or None
        1 where a feature belongs to a source column; None when every feature is its own column.
    """

    around: Neighbourhood
    members: Tensor
    weights: Tensor | None
    indicator: Tensor | None


def column_attributions(slopes: Tensor, parts: Parts, around: Neighbourhood, indicator: Tensor | None = None) -> Tensor:
    """[K, c, n] exact integrated gradients of the rows' margins, given mean slopes [K, h, m]; differentiable.

    All nodes move together from "everything unknown" to their features, and propagation is linear: the mean slope of
    a node's hidden unit is that of one layer, and a row's attributions are the operators' sums over those of the
    nodes' numbers. They add up to margin − margin of all unknown.
    """
    first, second, _ = parts
    weights = heads(second, first.shape[1])
    total: Tensor | None = None
    for t, operator in enumerate(around.operators):
        by_feature = (first[..., :-1].mT @ (slopes * weights[:, t, :, None])) * around.transposed
        of_rows = operator(by_feature if indicator is None else indicator @ by_feature)
        total = of_rows if total is None else total + of_rows
    assert total is not None  # every kind has an operator
    return total


def graph_profiles(pre_activations: Tensor, parts: Parts, explained: Explained) -> Tensor:
    """[K, c, g] mean over each group of |attribution| / Σ|attribution| by source column; differentiable.

    :func:`experts.networks.group_profiles.group_profiles` for two layers, by automatic differentiation.
    """
    start = parts[0][..., -1:]
    way = (pre_activations - start).abs().clamp_min(TINY)
    # hardtanh has gradient 0 at its ends, where clamp would divide by a way of length 0
    share = hardtanh(torch.maximum(pre_activations, start.expand_as(pre_activations)) / way, 0.0, 1.0)
    signed = column_attributions(SLOPE + (1 - SLOPE) * share, parts, explained.around, explained.indicator)
    profiles = signed.abs()
    profiles = profiles / profiles.sum(1, keepdim=True).clamp_min(TINY)
    return (profiles if explained.weights is None else profiles * explained.weights[:, None]) @ explained.members


@torch.no_grad()
def graph_probabilities(parameters: LaneParameters, around: Neighbourhood) -> Tensor:
    """[K, n] probabilities of class 1 of the rows, a few lanes at a time."""
    parts = [graph_margins(few, around) for few in _few_lanes(parameters)]
    return torch.sigmoid(torch.cat(parts))


@torch.no_grad()
def graph_reasons(parameters: LaneParameters, around: Neighbourhood, indicator: Tensor | None) -> tuple[Tensor, Tensor]:
    """Attributions by source column [K, n, c] and probabilities with each row's top column masked [K, n].

    The top column (largest absolute attribution, the first of equals) is unknown in the whole graph, as it is when
    an expert of two layers is asked with ``keep``.
    """
    found = [_reasons(few, around, indicator) for few in _few_lanes(parameters)]
    return torch.cat([attributions for attributions, _ in found]), torch.cat([masked for _, masked in found])


def _reasons(parameters: LaneParameters, around: Neighbourhood, indicator: Tensor | None) -> tuple[Tensor, Tensor]:
    parts = parameters.split()
    pre_activations = hidden(parts[0], around.features)
    attributions = column_attributions(path_slopes(pre_activations, parts[0][..., -1]), parts, around, indicator)
    top = attributions.abs().argmax(1)  # [K, n]
    masked = torch.empty(top.shape)
    for column in torch.unique(top).tolist():
        features = torch.tensor([column]) if indicator is None else torch.nonzero(indicator[column])[:, 0]
        lanes = torch.nonzero((top == column).any(1))[:, 0]
        few = tuple(part[lanes] for part in parts)
        change = few[0][..., features] @ around.transposed[features]
        margins = head_margins(pre_activations[lanes] - change, (few[0], few[1], few[2]), around)
        masked[lanes] = torch.where(top[lanes] == column, margins, masked[lanes])
    return attributions.mT, torch.sigmoid(masked)


def _few_lanes(parameters: LaneParameters) -> list[LaneParameters]:
    return [parameters.with_theta(theta) for theta in torch.split(parameters.theta, LANES_AT_ONCE)]
