"""Sparse adjacencies as torch reads them, and their symmetric normalisation: one formula for all graph models."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor


def symmetric_weights(ends: Tensor, values: Tensor, nodes: int) -> Tensor:
    """[e] entries of D^-½ A D^-½ of a matrix A with ``values`` [e] at ``ends`` [2, e]; D has the sums of its rows.

    Values are at least 0, and every row has a larger one. In their precision.
    """
    root = torch.zeros(nodes, dtype=values.dtype).index_add_(0, ends[0], values).rsqrt()
    return values * root[ends[0]] * root[ends[1]]


def normalised(ends: Tensor, nodes: int, weights: Tensor | None = None) -> Tensor:
    """[n, n] CSR Â = D̃^-½ (A + I) D̃^-½ of edges [2, e] in both directions (Kipf and Welling, ICLR 2017, eq. 2).

    Without ``weights`` [e] ≥ 0 of the edges, an edge counts once, however often it is given.
    """
    loops = torch.cat([ends, torch.arange(nodes).expand(2, -1)], dim=1)
    given = torch.ones(ends.shape[1]) if weights is None else weights
    adjacency = csr(loops, torch.cat([given, torch.ones(nodes)]), (nodes, nodes))
    places, values = positions(adjacency), adjacency.values()
    values = torch.ones_like(values) if weights is None else values
    return from_sorted(places, symmetric_weights(places, values, nodes), (nodes, nodes))


def csr(ends: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Sparse CSR matrix with ``values`` [e] at row ``ends[0]``, column ``ends[1]``; equal positions are summed."""
    keys, which = torch.unique(ends[0] * shape[1] + ends[1], return_inverse=True)
    summed = torch.zeros(len(keys), dtype=values.dtype).index_add_(0, which, values)
    return from_sorted(torch.stack([keys // shape[1], keys % shape[1]]), summed, shape)


def from_sorted(ends: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """As :func:`csr`, of positions that are sorted by row, then column, each once."""
    starts = torch.zeros(shape[0] + 1, dtype=torch.int64)
    starts[1:] = torch.bincount(ends[0], minlength=shape[0]).cumsum(0)
    return compressed(starts, ends[1], values, shape)


def compressed(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Sparse CSR matrix of its three parts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support", UserWarning)
        return torch.sparse_csr_tensor(starts, columns, values, size=shape, check_invariants=False)


def positions(operator: Tensor) -> Tensor:
    """[2, e] int64 row and column of each value of a CSR matrix, in the order of its values."""
    starts = operator.crow_indices()
    rows = torch.repeat_interleave(torch.arange(len(starts) - 1), starts.diff())
    return torch.stack([rows, operator.col_indices()])


def rows_of(operator: Tensor, rows: Tensor) -> Tensor:
    """[r, n] CSR matrix of some rows of a CSR matrix [m, n], in the order of ``rows``: their receptive field."""
    starts = operator.crow_indices()
    counts = starts.diff()[rows]
    begins = torch.zeros(len(rows) + 1, dtype=torch.int64)
    begins[1:] = counts.cumsum(0)
    which = torch.repeat_interleave(starts[rows] - begins[:-1], counts) + torch.arange(int(begins[-1]))
    columns, values = operator.col_indices()[which], operator.values()[which]
    return compressed(begins, columns, values, (len(rows), operator.shape[1]))
