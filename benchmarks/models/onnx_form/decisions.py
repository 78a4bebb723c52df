"""Decision layers within a graph, in double precision as they are here."""

from __future__ import annotations

import numpy as np

from benchmarks.models.error import ModelError
from benchmarks.models.onnx_form.graph import Graph, Value
from benchmarks.models.onnx_form.rows import Rows
from benchmarks.models.onnx_form.trees import booster_margins
from metrics.thresholds import FARTHEST
from moe.decision.decided import Decided
from moe.decision.group_model import GroupModel
from moe.decision.linear_post import EDGE, LinearRule


def moved(rows: Rows, decided: Decided, base: Value) -> Value:
    """[r, 1] float32 margins above 0 where the decision is 1, from those [r, 1] of what is decided about.

    Raises
    ------
    ModelError
        If the decision is about a batch of rows at once.
    """
    graph, rule = rows.graph, decided.decision.rule
    probability = graph.op("Sigmoid", graph.cast(base, "double"))
    if isinstance(rule, LinearRule):
        cut = _linear_cut(rows, decided, rule, probability)
        low, high = graph.number(np.float64(2 * EDGE)), graph.number(np.float64(1 - 2 * EDGE))
        own = _margins_of(graph, graph.op("Clip", probability, low, high))
    elif decided.decision.demand.mode == "batch":
        raise ModelError(
            "A decision of the mode 'batch' cannot be written as ONNX: its thresholds follow from all rows of a batch "
            "together. Choose one of the mode aware or blind."
        )
    else:
        cut, own = rows.of_group(rule.cuts.double().numpy()), _margins_of(graph, probability)
    shown = graph.op("Sigmoid", graph.op("Sub", own, cut))
    return graph.cast(_margins_of(graph, shown), "float")


def _linear_cut(rows: Rows, decided: Decided, rule: LinearRule, probability: Value) -> Value:
    """[r, 1] double margin of each row's threshold: :meth:`LinearRule.cut`, held within (EDGE, 1 − EDGE)."""
    if decided.group_model is None:
        raise ModelError("A blind decision without its model of the group cannot be asked; save the model again.")
    graph, axis = rows.graph, rows.graph.number(np.array([1]))
    other = graph.op("Sub", graph.number(np.float64(1)), probability)
    cut = graph.number(np.array([[rule.t]], dtype=np.float64))
    for label, weight in ((0, other), (1, probability)):
        members = _members(rows, decided.group_model, label)
        told = graph.op("Mul", members, graph.number(rule.multipliers[:, label].double().numpy()[None]))
        mean = graph.op("ReduceSum", told, axis, keepdims=1)
        cut = graph.op("Add", cut, graph.op("Mul", mean, weight))
    return logit(graph, graph.op("Clip", cut, *(graph.number(np.float64(edge)) for edge in (EDGE, 1 - EDGE))))


def _members(rows: Rows, model: GroupModel, label: int) -> Value:
    """[r, g] double P(group | features, label)."""
    graph = rows.graph
    seen = graph.op("Concat", rows.features, rows.constant(label), axis=1)
    raw = booster_margins(graph, model.booster.model_to_string(), 0.0, seen, model.n_groups)
    return graph.op("Softmax", graph.cast(raw, "double"), axis=1)


def logit(graph: Graph, probability: Value) -> Value:
    """Log p / (1 - p)."""
    other = graph.op("Sub", graph.number(np.float64(1)), probability)
    return graph.op("Log", graph.op("Div", probability, other))


def _margins_of(graph: Graph, probability: Value) -> Value:
    """Logits within ± ``FARTHEST``: :func:`metrics.thresholds.margins_of`."""
    limits = (graph.number(np.float64(-FARTHEST)), graph.number(np.float64(FARTHEST)))
    return graph.op("Clip", logit(graph, probability), *limits)
