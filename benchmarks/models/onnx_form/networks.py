"""Margins of networks and linear models, in the precision that they have."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.models.onnx_form.graph import Graph, Value
from experts.linear.expert import LinearExpert
from experts.networks.lanes import SLOPE, LaneParameters
from experts.networks.mlp import MLPExpert
from experts.networks.piecewise_linear import PiecewiseLinear
from experts.networks.ple_mlp import PLEExpert


def mlp(graph: Graph, expert: MLPExpert, features: Value) -> Value:
    """[r, 1] margins of one hidden layer."""
    return _lane(graph, expert.parameters, features)


def piecewise_mlp(graph: Graph, expert: PLEExpert, features: Value) -> Value:
    """[r, 1] margins of one hidden layer on encoded numbers."""
    return _lane(graph, expert.parameters, _encoded(graph, expert.encoding, features))


def linear(graph: Graph, expert: LinearExpert, features: Value) -> Value:
    """[r, 1] margins of a linear expert."""
    encoded = _encoded(graph, expert.encoding, features)
    return affine(graph, encoded, expert.weight, torch.tensor(expert.bias))


def affine(graph: Graph, features: Value, weight: torch.Tensor, bias: torch.Tensor) -> Value:
    """[r, k] float32 features [r, d] times weight [d] or [d, k], plus bias."""
    columns = weight.detach().reshape(len(weight), -1).float().numpy()
    product = graph.op("MatMul", features, graph.number(columns))
    return graph.op("Add", product, graph.number(bias.detach().float().reshape(1, -1).numpy()))


def _lane(graph: Graph, parameters: LaneParameters, features: Value) -> Value:
    first, second, offset = (part[0] for part in parameters.split())
    hidden = graph.op("LeakyRelu", affine(graph, features, first[:, :-1].T, first[:, -1]), alpha=SLOPE)
    return affine(graph, hidden, second, offset)


def _encoded(graph: Graph, encoding: PiecewiseLinear, features: Value) -> Value:
    """[r, e] piecewise-linear encoding of features [r, d]: :meth:`PiecewiseLinear.encode`."""
    if not any(encoding.edges):
        return features
    low, width, binned = (part.numpy() for part in encoding.bins)
    whole = graph.op("Gather", features, graph.number(encoding.owner.numpy()), axis=1)
    share = graph.op("Div", graph.op("Sub", whole, graph.number(low)), graph.number(width))
    filled = graph.op("Clip", share, graph.number(np.float32(0)), graph.number(np.float32(1)))
    at_zero = np.clip((np.float32(0) - low) / width, np.float32(0), np.float32(1))
    return graph.op("Where", graph.number(binned), graph.op("Sub", filled, graph.number(at_zero)), whole)
