"""The part of a graph that the second layer of some rows reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from experts.graph.sparse import Csr, Sparse, scipy_sparse
from experts.networks.lanes import with_ones


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Rows of the operators, cut to the nodes that they touch.

    Attributes
    ----------
    features : [m, d+1] float32
        What the first layer sees of the nodes, with the column of ones.
    own : [n] int64
        Place of each row among the nodes.
    matrices : tuple of T [n, m] CSR arrays
        One per operator.
    """

    features: Tensor
    own: Tensor
    matrices: tuple[Csr, ...]

    @classmethod
    def of(cls, features: Tensor, matrices: Sequence[Csr], rows: Tensor) -> Self:
        """Neighbourhood of ``rows`` [n] of a graph with propagated ``features`` [N, d]."""
        ids = rows.numpy()
        nodes, parts = _cut([matrix[ids] for matrix in matrices], ids)
        place = np.searchsorted(nodes, ids)
        return cls(with_ones(features[torch.from_numpy(nodes)]), torch.from_numpy(place), parts)

    @property
    def nodes(self) -> int:
        """Number of nodes, m."""
        return len(self.features)

    @cached_property
    def operators(self) -> tuple[Sparse, ...]:
        """The operators, ready for products."""
        return tuple(Sparse.of(matrix) for matrix in self.matrices)

    @cached_property
    def transposed(self) -> Tensor:
        """[d, m] features, contiguous, without the ones."""
        return self.features[:, :-1].T.contiguous()

    def first(self, count: int) -> Self:
        """Neighbourhood of the first ``count`` rows."""
        ids = self.own[:count].numpy()
        nodes, parts = _cut([matrix[:count] for matrix in self.matrices], ids)
        place = np.searchsorted(nodes, ids)
        return type(self)(self.features[torch.from_numpy(nodes)], torch.from_numpy(place), parts)


def _cut(matrices: list[Csr], ids: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], tuple[Csr, ...]]:
    """Columns that are touched or among ``ids``, sorted, and the matrices on these columns alone."""
    touched = np.zeros(matrices[0].shape[1], dtype=bool)
    touched[ids] = True
    for matrix in matrices:
        touched[matrix.indices] = True
    nodes = np.flatnonzero(touched)
    place = np.cumsum(touched) - 1
    shape = (len(ids), len(nodes))
    return nodes, tuple(scipy_sparse.csr_array((m.data, place[m.indices], m.indptr), shape=shape) for m in matrices)
