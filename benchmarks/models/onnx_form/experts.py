"""Margins of experts within a graph, by what they are."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from benchmarks.methods.baselines.constant import Constant
from benchmarks.methods.estimator_expert import CLIP
from benchmarks.models.error import ModelError
from benchmarks.models.onnx_form import decisions, gates, networks
from benchmarks.models.onnx_form.graph import Value
from benchmarks.models.onnx_form.rows import Rows
from benchmarks.models.onnx_form.trees import booster_margins, tree_margins
from experts.bagging.bag import BaggedExpert
from experts.linear.expert import LinearExpert
from experts.networks.mlp import MLPExpert
from experts.networks.ple_mlp import PLEExpert
from experts.trees.booster import TreeModel
from experts.trees.expert import TreeExpert
from experts.trees.text import Tree
from moe.decision.decided import Decided
from moe.mixture import Mixture


def margins(rows: Rows, expert: Any) -> Value:
    """[r, 1] float32 margins of class 1.

    Raises
    ------
    ModelError
        If a part of the expert has no ONNX form; the text names it.
    """
    if getattr(expert, "reads_graph", False):
        raise _refused(f"the {expert.family} network", "it reads the neighbours of a row, and a table of rows has none")
    for kind, write in EXPERTS:
        if isinstance(expert, kind):
            return write(rows, expert)
    write_model = MODELS.get(getattr(getattr(expert, "model", None), "kind", ""))
    if write_model is not None:
        return write_model(rows, expert.model)
    what = getattr(getattr(expert, "model", None), "kind", None) or getattr(expert, "family", type(expert).__name__)
    raise _refused(f"a part of the kind {what!r}", "what it computes is not known here as operators")


def _refused(what: str, why: str) -> ModelError:
    return ModelError(
        f"The model cannot be written as ONNX: {what} has no such form, because {why}. Networks, boosted trees, linear "
        "models, bags, mixtures and decisions of them have; share the saved model (--to model) instead."
    )


def _trees(rows: Rows, model: TreeModel) -> Value:
    return booster_margins(rows.graph, model.booster.model_to_string(), model.offset, rows.features)


def _bag(rows: Rows, bag: BaggedExpert) -> Value:
    return rows.graph.op("Mean", *(margins(rows, expert) for expert in bag.experts))


def _mixture(rows: Rows, mixture: Mixture) -> Value:
    logits = rows.graph.op("Concat", *(margins(rows, expert) for expert in mixture.experts), axis=1)
    return gates.mixed(rows, mixture.gate, logits)


def _decided(rows: Rows, decided: Decided) -> Value:
    return decisions.moved(rows, decided, margins(rows, decided.base))


def _linear_model(rows: Rows, model: Any) -> Value:
    return networks.affine(rows.graph, rows.features, model.weight, model.bias)


def _rectified(rows: Rows, model: Any) -> Value:
    first, _, second = model.module
    hidden = networks.affine(rows.graph, rows.features, first.weight.T, first.bias)
    return networks.affine(rows.graph, rows.graph.op("Relu", hidden), second.weight.T, second.bias)


def _histogram(rows: Rows, model: Any) -> Value:
    """Trees that scikit-learn fitted, as the arrays that are kept of them."""
    forest = model.model
    bounds = [*forest.root.tolist(), forest.nodes]
    found = []
    for start, end in itertools.pairwise(bounds):
        part, here = slice(start, end), np.arange(start, end)
        splits = forest.left[part] != here
        if (forest.left[part] >= end).any() or (forest.right[part] >= end).any():
            raise ModelError("A tree of the model leads into another one; save or copy the model again.")
        left, right = (np.where(splits, side[part] - start, 0).tolist() for side in (forest.left, forest.right))
        found.append(
            Tree(
                splits.tolist(), np.where(splits, forest.feature[part], 0).tolist(),
                np.where(splits, forest.threshold[part], 0.0).tolist(), left, right, forest.value[part].tolist(),
            )
        )  # fmt: skip
    return tree_margins(rows.graph, found, [0] * len(found), forest.baseline.tolist(), rows.features)


def _group_cuts(rows: Rows, model: Any) -> Value:
    return rows.graph.op("Sub", _trees(rows, model.base), rows.of_group(model.cuts.numpy()))


def _linear_votes(rows: Rows, model: Any) -> Value:
    margin = networks.affine(rows.graph, rows.features, model.weight.T, model.bias)
    return _expected(rows, margin, model.share)


def _tree_votes(rows: Rows, model: Any) -> Value:
    said = (rows.constant(one) if isinstance(one, float) else _trees(rows, one) for one in model.models)
    return _expected(rows, rows.graph.op("Concat", *said, axis=1), model.share)


def _expected(rows: Rows, margin: Value, share: Tensor) -> Value:
    """[r, 1] logit, within ± CLIP, of the mean decision of voters with margins [r, m]."""
    graph = rows.graph
    votes = graph.cast(graph.op("Greater", margin, graph.number(np.float32(0))), "double")
    mean = graph.op("MatMul", votes, graph.number(share.double().numpy()[:, None]))
    chance = graph.op("Clip", mean, graph.number(np.float64(0)), graph.number(np.float64(1)))
    logit = decisions.logit(graph, chance)
    limits = (graph.number(np.float64(-CLIP)), graph.number(np.float64(CLIP)))
    return graph.cast(graph.op("Clip", logit, *limits), "float")


EXPERTS: tuple[tuple[type, Callable[[Rows, Any], Value]], ...] = (
    (MLPExpert, lambda rows, expert: networks.mlp(rows.graph, expert, rows.features)),
    (PLEExpert, lambda rows, expert: networks.piecewise_mlp(rows.graph, expert, rows.features)),
    (LinearExpert, lambda rows, expert: networks.linear(rows.graph, expert, rows.features)),
    (TreeExpert, lambda rows, expert: _trees(rows, expert.model)),
    (Constant, lambda rows, expert: rows.constant(expert.margin)), (BaggedExpert, _bag), (Mixture, _mixture),
    (Decided, _decided),
)  # fmt: skip
MODELS: dict[str, Callable[[Rows, Any], Value]] = {
    "linear": _linear_model, "trees": _trees, "network": _rectified, "histogram trees": _histogram,
    "group cuts": _group_cuts, "linear votes": _linear_votes, "tree votes": _tree_votes,
}  # fmt: skip
"""Fitted models of baselines, by their kind."""
