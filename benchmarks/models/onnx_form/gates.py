"""Weights of gates, and the mixed margin, within a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.models.error import ModelError
from benchmarks.models.onnx_form.graph import Graph, Value
from benchmarks.models.onnx_form.networks import affine
from benchmarks.models.onnx_form.rows import Rows
from gates.dense import DenseGate
from gates.gate import ComposingGate, ProjectedGate
from gates.shrunk_dense import ShrunkDenseGate
from gates.stacking import LARGEST, StackingGate
from gates.static import StaticWeights
from gates.topk import TopKGate


def mixed(rows: Rows, gate: ProjectedGate, logits: Value) -> Value:
    """[r, 1] float32 margin of a mixture from its experts' margins [r, m].

    Raises
    ------
    ModelError
        If the gate is of a kind that has no ONNX form here.
    """
    graph = rows.graph
    if isinstance(gate, StackingGate):
        limits = (graph.number(np.float32(-LARGEST)), graph.number(np.float32(LARGEST)))
        held = graph.op("Clip", logits, *limits)
        return affine(graph, held, gate.point * gate.scale, torch.tensor(gate.offset))
    if not isinstance(gate, ComposingGate):
        if isinstance(gate, StaticWeights):
            return _log_mean_margin(graph, _static(gate), logits, graph.number)
        for kind, weigh in READING:
            if isinstance(gate, kind):
                return _log_mean_margin(graph, weigh(rows, gate, logits), logits, lambda value: value)
    raise ModelError(
        f"A mixture with the gate {gate.name!r} cannot be written as ONNX: what it computes is not known here. Choose "
        "another mixture, or share the saved model."
    )


def _static(gate: StaticWeights) -> Any:
    return gate.point.double().numpy()[None]


def _log_mean_margin(graph: Graph, weights: Any, logits: Value, value: Callable[[Any], Value]) -> Value:
    """Logit of Σ w p in double precision, without leaving log space; weights may be 0."""
    if isinstance(weights, np.ndarray):
        with np.errstate(divide="ignore"):
            log_weights = value(np.log(weights))
    else:
        log_weights = graph.op("Log", graph.cast(weights, "double"))
    doubles, axis = graph.cast(logits, "double"), graph.number(np.array([1]))
    sides = [
        graph.op("ReduceLogSumExp", graph.op("Add", log_weights, side), axis, keepdims=1)
        for side in (_log_sigmoid(graph, doubles), _log_sigmoid(graph, graph.op("Neg", doubles)))
    ]
    return graph.cast(graph.op("Sub", *sides), "float")


def _log_sigmoid(graph: Graph, values: Value) -> Value:
    """Of doubles: min(z, 0) − log(1 + exp(−|z|))."""
    small = graph.op("Exp", graph.op("Neg", graph.op("Abs", values)))
    below = graph.op("Min", values, graph.number(np.float64(0)))
    return graph.op("Sub", below, graph.op("Log", graph.op("Add", small, graph.number(np.float64(1)))))


def _dense(rows: Rows, gate: DenseGate, logits: Value) -> Value:
    """[r, m] weights of :class:`gates.dense.DenseGate`."""
    graph = rows.graph
    scores = _dense_scores(rows, gate, logits)
    return graph.op("Softmax", graph.op("Div", scores, graph.number(gate.temperature.float().numpy())), axis=1)


def _topk(rows: Rows, gate: TopKGate, logits: Value) -> Value:
    """[r, m] weights, 0 but for the k largest scores of a row."""
    graph, experts = rows.graph, len(gate.score_bias)
    scores = _dense_scores(rows, gate, logits)
    best = graph.number(np.array([min(gate.k, experts)]))
    values, places = graph.pair("TopK", scores, best, axis=1)
    nowhere = graph.op("Expand", graph.number(np.float32(-np.inf)), graph.op("Shape", scores))
    kept = graph.op("ScatterElements", nowhere, places, values, axis=1)
    return graph.op("Softmax", graph.op("Div", kept, graph.number(gate.temperature.float().numpy())), axis=1)


def _dense_scores(rows: Rows, gate: DenseGate, logits: Value) -> Value:
    graph = rows.graph
    seen = affine(graph, rows.features, gate.visible[:, None] * gate.feature_weight, gate.hidden_bias)
    heard = graph.op("MatMul", _opinions(graph, logits, len(gate.score_bias)), _number(graph, gate.opinion_weight))
    return affine(graph, graph.op("Tanh", graph.op("Add", seen, heard)), gate.score_weight, gate.score_bias)


def _opinions(graph: Graph, logits: Value, experts: int) -> Value:
    """[r, 2m + 1] what :func:`gates.dense.opinion_features` tells of the experts."""
    one = graph.number(np.float32(1))
    probability = graph.op("Sigmoid", logits)
    confidence = graph.op("Max", probability, graph.op("Sub", one, probability))
    ways = (graph.op("Unsqueeze", probability, graph.number(np.array([axis]))) for axis in (2, 1))
    apart = graph.op("Abs", graph.op("Sub", *ways))
    spread = graph.op("ReduceSum", apart, graph.number(np.array([1, 2])), keepdims=0)
    pairs = graph.number(np.float32(max(1, experts * (experts - 1))))
    return graph.op("Concat", probability, confidence, graph.column(graph.op("Div", spread, pairs)), axis=1)


def _shrunk(rows: Rows, gate: ShrunkDenseGate, logits: Value) -> Value:
    """[r, m] weights of :class:`gates.shrunk_dense.ShrunkDenseGate`."""
    graph = rows.graph
    families = graph.op("MatMul", graph.op("Sigmoid", logits), _number(graph, gate.members.T))
    lean = graph.op("Sub", graph.op("Mul", families, graph.number(np.float32(2))), graph.number(np.float32(1)))
    heard = affine(
        graph, graph.op("Concat", lean, graph.op("Abs", lean), axis=1), gate.opinion_weight[:-1],
        gate.families.log() + gate.opinion_weight[-1],
    )  # fmt: skip
    seen = graph.op("MatMul", rows.features, _number(graph, gate.visible[:, None] * gate.feature_weight))
    weights = graph.op("Softmax", graph.op("Add", heard, seen), axis=1)
    return graph.op("MatMul", weights, _number(graph, gate.members))


def _number(graph: Graph, tensor: torch.Tensor) -> Value:
    return graph.number(tensor.detach().float().contiguous().numpy())


READING: tuple[tuple[type, Callable[..., Value]], ...] = (
    (TopKGate, _topk), (DenseGate, _dense), (ShrunkDenseGate, _shrunk),
)  # fmt: skip
"""Gates that look at the row; a kind stands before those that it is a case of."""
