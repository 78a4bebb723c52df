"""Operators of a task's graph, made once and kept as long as the task's edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from benchmarks.methods.graph_model import GraphError
from experts.graph.adjacency import csr, normalised
from tasks.task import TaskView


def undirected(view: TaskView) -> Tensor:
    """[2, 2m] int64: every edge of a task in both directions, without self-loops.

    Raises
    ------
    GraphError
        If the task has no edges, or was loaded without them.
    """
    if view.edges is None:
        raise GraphError(
            f"Task {view.name} has no edges, which a graph method needs: load a graph data set with with_edges = True, "
            "or leave graph methods out for this task."
        )
    return torch.cat([view.edges, view.edges.flip(0)], dim=1)


_OPERATORS: Any = WeakIdKeyDictionary()  # by the tensor of a task's edges: {kind: operator}; freed with the task


def _once(view: TaskView, kind: str, make: Callable[[Tensor, int], Tensor]) -> Tensor:
    """An operator of a task's graph, made when it is first asked for and kept as long as the task's edges."""
    both = undirected(view)
    known: dict[str, Tensor] = _OPERATORS.setdefault(view.edges, {})
    if kind not in known:
        known[kind] = make(both, len(view.features))
    return known[kind]


def gcn_operator(view: TaskView) -> Tensor:
    """[n, n] CSR Â of a task, see :func:`experts.graph.adjacency.normalised`."""
    return _once(view, "gcn", normalised)


def adjacency_operator(view: TaskView) -> Tensor:
    """[n, n] CSR adjacency of a task: ones, without self-loops."""
    return _once(view, "adjacency", lambda ends, n: csr(ends, torch.ones(ends.shape[1]), (n, n)))
