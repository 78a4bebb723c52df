"""What a node gets from its neighbours: sparse operators of a graph, and features that went through them once.

The operators are built once per graph and features are propagated once per task, so that a graph expert of one layer
is the tabular expert on propagated features. Features of all nodes take part, test nodes' too (their labels never
do): the usual transductive setting of node classification.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from experts.graph.adjacency import symmetric_weights
from experts.graph.settings import KINDS, Kind
from experts.graph.sparse import Csr, scipy_sparse
from experts.saved import ExpertError
from tasks.columns import Column
from tasks.registry import cards
from tasks.task import TaskView

Operators = tuple[Csr, ...]
"""Sparse [n, n] float32 matrices of one kind; a layer has weights of its own for each of them."""


def operators(view: TaskView, kind: Kind) -> Operators:
    """The operators of a task's graph, built once.

    Parameters
    ----------
    view : TaskView
        With edges; A is their symmetric 0/1 adjacency without self-loops, d the degrees.
    kind : {"gcn", "gin", "sage"}
        ``gcn``: D^-½ (A + I) D^-½ with D of A + I (Kipf and Welling, ICLR 2017).
        ``gin``: (A + (1 + ε) I) / s with ε = 0 (Xu et al., ICLR 2019). s is the root mean square of 1 + d over the
        nodes. Sums over neighbours grow with the degree, and learning rates and weight decay are tuned for columns
        of about unit size; one number for the whole graph only rescales the weights of the layer, keeps 0 at 0
        (unknown), and does not depend on features, so that altered features are propagated alike.
        ``sage``: I and the mean over neighbours (Hamilton et al., NeurIPS 2017); a node without neighbours has mean 0.

    Raises
    ------
    ExpertError
        If the task has no edges.
    """
    if kind not in KINDS:
        raise ValueError(f"There is no graph expert {kind!r}; kinds are {', '.join(KINDS)}.")
    return _operators(_edges(view), len(view.features), kind)


# Tensors are equal to themselves alone as keys, and a cache keeps its keys alive.
@lru_cache(maxsize=8)
def _operators(edges: Tensor, n: int, kind: Kind) -> Operators:
    adjacency = _adjacency(edges, n)
    degree = adjacency.sum(1)
    if kind == "sage":
        mean = scipy_sparse.diags_array(1 / np.maximum(degree, 1)) @ adjacency
        return _single(scipy_sparse.eye_array(n)), _single(mean)
    looped = adjacency + scipy_sparse.eye_array(n)
    if kind == "gin":
        return (_single(looped / np.sqrt(np.mean((1 + degree) ** 2))),)
    return (_single(_normalised(looped)),)


def _normalised(matrix: Csr) -> Csr:
    """D^-½ A D^-½ in the precision of A."""
    places = matrix.tocoo()
    ends = torch.from_numpy(np.stack([places.row, places.col]).astype(np.int64))
    values = symmetric_weights(ends, torch.from_numpy(places.data), matrix.shape[0]).numpy()
    return scipy_sparse.csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def _single(matrix: Csr) -> Csr:
    single = scipy_sparse.csr_array(matrix, dtype=np.float32)
    single.sort_indices()
    return single


def _adjacency(edges: Tensor, n: int) -> Csr:
    """[n, n] symmetric 0/1 float64, whatever the direction and the number of times an edge is given."""
    first, second = edges.numpy()
    apart = first != second
    first, second = first[apart], second[apart]
    ends = (np.concatenate([first, second]), np.concatenate([second, first]))
    adjacency = scipy_sparse.csr_array((np.ones(len(ends[0])), ends), shape=(n, n))
    adjacency.sum_duplicates()
    adjacency.data[:] = 1.0
    return adjacency


def _edges(view: TaskView) -> Tensor:
    if view.edges is not None:
        return view.edges
    if view.card.edges is not None:
        advice = "load it with its edges (load_task(..., with_edges=True))."
    else:
        known = ", ".join(card.name for card in cards() if card.edges is not None)
        advice = f"its card has no [edges]. Cards with edges are {known}; use tabular experts on the others."
    raise ExpertError(f"A graph expert needs edges, and task {view.name} was loaded without: {advice}")


def propagated(view: TaskView, kind: Kind) -> TaskView:
    """The view whose features are those that a first graph layer sees, for all nodes; computed once per features.

    ``gcn`` and ``gin`` keep the features' number and names; ``sage`` doubles them: a node's own, then the mean of its
    neighbours. 0 still means unknown, and columns own their features on both sides, so masking a column of a row
    makes it unknown in the row's whole neighbourhood. Rows of such a view cannot be moved to another group
    (``flip`` is None): move the original view, and propagate it again.

    Raises
    ------
    ExpertError
        If the task has no edges.
    """
    matrices = operators(view, kind)
    features = _propagate(_edges(view), view.features, view.features._version, kind)
    d = len(view.feature_names)
    names = [*view.feature_names, *(f"{name} of neighbours" for name in view.feature_names)][: d * len(matrices)]
    columns = tuple(_repeated(column, d, len(matrices)) for column in view.columns)
    return dataclasses.replace(view, features=features, feature_names=tuple(names), columns=columns, flip=None)


@lru_cache(maxsize=8)
def _propagate(edges: Tensor, features: Tensor, _version: int, kind: Kind) -> Tensor:
    matrices = _operators(edges, len(features), kind)
    values = features.numpy()
    return torch.from_numpy(np.ascontiguousarray(np.concatenate([m @ values for m in matrices], 1), np.float32))


def _repeated(column: Column, d: int, times: int) -> Column:
    return dataclasses.replace(column, features=tuple(f + d * k for k in range(times) for f in column.features))
