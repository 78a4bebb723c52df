"""Margins of boosted trees, split by split as they were fitted.

Splits are compared in double precision, and so are features, which are float32: no row takes another branch. Leaves
are added in double precision and rounded to float32 once, as the models here do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from benchmarks.models.error import ModelError
from benchmarks.models.onnx_form.graph import ML, Graph, Value
from experts.trees.text import Tree, trees_of

LEAF, BRANCH = "LEAF", "BRANCH_LEQ"


def booster_margins(graph: Graph, text: str, offset: float, features: Value, outputs: int = 1) -> Value:
    """[r, outputs] float32 raw scores of LightGBM's trees, which take turns in adding to the outputs.

    Parameters
    ----------
    text : str
        The trees as LightGBM writes them.
    offset : float
        Added to each output.
    features : Value
        [r, d] float32 or double.

    Raises
    ------
    ModelError
        If the trees are averaged, or treat 0 as missing.
    """
    try:
        trees = trees_of(text)
    except ValueError as error:
        raise ModelError(f"The model cannot be written as ONNX: {error}. Share the saved model instead.") from error
    targets = [number % outputs for number in range(len(trees))]
    return tree_margins(graph, trees, targets, [offset] * outputs, features)


def tree_margins(
    graph: Graph, trees: Sequence[Tree], targets: Sequence[int], base: Sequence[float], features: Value
) -> Value:
    """[r, outputs] float32: ``base`` and the leaves of all trees, each added to its target."""
    if not trees:
        zero = graph.op("Mul", graph.op("Slice", features, *_first_column(graph)), graph.number(np.float32(0)))
        return graph.op("Add", zero, graph.number(np.array([base], dtype=np.float32)))
    nodes = [(number, place) for number, tree in enumerate(trees) for place in range(tree.nodes)]
    values = np.concatenate([np.asarray(tree.thresholds, dtype=np.float64) for tree in trees])
    ends = [(number, place) for number, place in nodes if not trees[number].splits[place]]
    weights = np.array([trees[number].values[place] for number, place in ends], dtype=np.float64)
    return graph.op(
        "TreeEnsembleRegressor", graph.cast(features, "double"), domain=ML,
        n_targets=len(base), aggregate_function="SUM", post_transform="NONE",
        base_values_as_tensor=np.asarray(base, dtype=np.float64),
        nodes_treeids=[number for number, _ in nodes], nodes_nodeids=[place for _, place in nodes],
        nodes_featureids=_all(tree.features for tree in trees), nodes_values_as_tensor=values,
        nodes_modes=[BRANCH if splits else LEAF for tree in trees for splits in tree.splits],
        nodes_truenodeids=_all(tree.left for tree in trees), nodes_falsenodeids=_all(tree.right for tree in trees),
        target_treeids=[number for number, _ in ends], target_nodeids=[place for _, place in ends],
        target_ids=[targets[number] for number, _ in ends], target_weights_as_tensor=weights,
    )  # fmt: skip


def _all(parts: Iterable[Sequence[int]]) -> list[int]:
    return [int(one) for part in parts for one in part]


def _first_column(graph: Graph) -> tuple[Value, Value, Value]:
    return graph.number(np.array([0])), graph.number(np.array([1])), graph.number(np.array([1]))
