"""A matrix with few entries that multiplies values of all lanes at once, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from experts.graph.adjacency import compressed

scipy_sparse: Any = scipy.sparse
Csr = Any
"""A ``scipy.sparse.csr_array``; scipy comes without types."""


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, sparse: Sparse) -> Tensor:
        ctx.sparse = sparse
        return _product(sparse.matrix, values)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        return _product(ctx.sparse.transposed, upstream[0]), None


@dataclass(frozen=True, eq=False)
class Sparse:
    """A sparse [n, m] matrix and its transpose, both by rows.

    Attributes
    ----------
    matrix : [n, m] float32, sparse CSR
    transposed : [m, n] float32, sparse CSR
    """

    matrix: Tensor
    transposed: Tensor

    @classmethod
    def of(cls, matrix: Csr) -> Sparse:
        """The same matrix, ready for products."""
        return cls(_csr_tensor(matrix), _csr_tensor(matrix.T.tocsr()))

    def __call__(self, values: Tensor) -> Tensor:
        """[..., n] products with the vectors ``values`` [..., m]; differentiable."""
        apply: Callable[..., Tensor] = _Product.apply
        return apply(values, self)

    def back(self, values: Tensor) -> Tensor:
        """[..., m] products of the transpose with ``values`` [..., n]."""
        return _product(self.transposed, values)


def _csr_tensor(matrix: Csr) -> Tensor:
    """Indices of 32 bits: the kernels want them, and would convert longer ones at every product."""
    starts, columns = (torch.from_numpy(part.astype(np.int32)) for part in (matrix.indptr, matrix.indices))
    values, shape = torch.from_numpy(matrix.data.astype(np.float32)), (int(matrix.shape[0]), int(matrix.shape[1]))
    return compressed(starts, columns, values, shape)


def _product(matrix: Tensor, values: Tensor) -> Tensor:
    flat = values.reshape(-1, values.shape[-1])
    return (matrix @ flat.T.contiguous()).T.reshape(*values.shape[:-1], matrix.shape[0])
