"""Attributions of any model to source columns: sampled Shapley values from the all-unknown baseline.

For models without gradients (trees, ensembles). The value of a set of columns is the logit margin with every other
column unknown, so the baseline is the one integrated gradients start from.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from foundation.seeding import numpy_generator

_CALL = 1 << 16  # rows per call of the model


def shapley_columns(
    margin: Callable[[Tensor, Tensor], Tensor], rows: int, columns: int, *, seed: int, pairs: int = 2
) -> Tensor:
    """Shapley values by antithetic permutation sampling.

    Parameters
    ----------
    margin : callable (picked [m] int64, keep [m, columns] bool) -> [m] float
        Logit margins of class 1 of the rows ``picked`` (positions 0..rows-1, repeated) with the columns not kept
        unknown.
    rows, columns : int
    seed : int
    pairs : int
        Permutations drawn, each used together with its reverse. If that covers all columns! permutations, they are
        enumerated and the values are exact.

    Returns
    -------
    [rows, columns] float64, signed; a row sums to margin(all kept) - margin(none kept).

    Notes
    -----
    phi_j is the mean over permutations of the change in margin when j joins the columns before it (Strumbelj and
    Kononenko, 2014). A permutation and its reverse together are exact for interactions of at most two columns
    (Mitchell et al., JMLR 2022, antithetic sampling). All rows share the permutations, so a row's values do not depend
    on which other rows are explained. Cost: at most 2 pairs (columns - 1) + 2 model evaluations per row.
    """
    if rows < 1 or columns < 1 or pairs < 1:
        raise ValueError(f"rows, columns and pairs are {rows}, {columns} and {pairs}; each must be at least 1")
    orders = _permutations(columns, pairs, seed)
    states = _prefixes(orders, columns)  # [P, columns + 1, columns] bool
    unique, index = torch.unique(states.flatten(0, 1), dim=0, return_inverse=True)
    values = _evaluate(margin, unique, rows)
    index = index.view(len(orders), columns + 1)
    attributions = torch.zeros(rows, columns, dtype=torch.float64)
    for order, path in zip(orders, index, strict=True):
        attributions[:, order] += values[path].diff(dim=0).T
    return attributions / len(orders)


def _permutations(columns: int, pairs: int, seed: int) -> Tensor:
    """[P, columns] int64: all permutations if there are at most 2 pairs, otherwise drawn ones and their reverses."""
    if math.factorial(columns) <= 2 * pairs:
        return torch.tensor(list(itertools.permutations(range(columns))))
    generator = numpy_generator(seed, "shapley_columns", columns)
    drawn = torch.from_numpy(generator.permuted(np.tile(np.arange(columns), (pairs, 1)), axis=1))
    return torch.cat((drawn, drawn.flip(1)))


def _prefixes(orders: Tensor, columns: int) -> Tensor:
    """[P, columns + 1, columns] bool: columns kept after 0, 1, ... steps of each permutation."""
    rank = torch.argsort(orders, dim=1)  # position of each column in the permutation
    return rank[:, None, :] < torch.arange(columns + 1)[:, None]


def _evaluate(margin: Callable[[Tensor, Tensor], Tensor], states: Tensor, rows: int) -> Tensor:
    """[S, rows] float64 margins of every row in every state, in calls of bounded size."""
    total = len(states) * rows
    parts = []
    for start in range(0, total, _CALL):
        flat = torch.arange(start, min(start + _CALL, total))
        parts.append(margin(flat % rows, states[flat // rows]).detach().to(torch.float64))
    return torch.cat(parts).view(len(states), rows)
