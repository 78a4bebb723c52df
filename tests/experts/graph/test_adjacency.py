"""The symmetric normalisation of an adjacency, and sparse matrices as torch reads them."""

from __future__ import annotations

import torch
from torch import Tensor

from experts.graph import adjacency


def both_ways(nodes: int = 40, edges: int = 90) -> Tensor:
    """Random edges in both directions, each once; the last node has none."""
    ends = torch.randint(0, nodes - 1, (2, edges), generator=torch.Generator().manual_seed(0))
    ends = torch.unique(ends[:, ends[0] != ends[1]].sort(0).values, dim=1)
    return torch.cat([ends, ends.flip(0)], dim=1)


def test_two_joined_nodes_and_a_lonely_one() -> None:
    operator = adjacency.normalised(torch.tensor([[0, 1], [1, 0]]), 3)
    torch.testing.assert_close(operator.to_dense(), torch.tensor([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]))


def test_weights_of_one_change_no_bit_and_an_edge_that_is_given_twice_counts_once() -> None:
    ends = both_ways()
    plain = adjacency.normalised(ends, 40)
    weighted = adjacency.normalised(ends, 40, torch.ones(ends.shape[1]))
    assert torch.equal(plain.values(), weighted.values())
    assert torch.equal(plain.values(), adjacency.normalised(torch.cat([ends, ends], 1), 40).values())


def test_double_and_single_precision_are_the_same_numbers() -> None:
    operator = adjacency.normalised(both_ways(), 40)
    places = adjacency.positions(operator)
    double = adjacency.symmetric_weights(places, torch.ones(places.shape[1], dtype=torch.float64), 40)
    torch.testing.assert_close(operator.values().double(), double, rtol=2e-7, atol=0)


def test_rows_of_an_operator() -> None:
    operator, rows = adjacency.normalised(both_ways(), 40), torch.tensor([7, 0, 39, 7])
    torch.testing.assert_close(adjacency.rows_of(operator, rows).to_dense(), operator.to_dense()[rows])


def test_csr_sums_what_stands_at_the_same_place() -> None:
    matrix = adjacency.csr(torch.tensor([[1, 0, 1], [2, 1, 2]]), torch.tensor([1.0, 5, 2]), (2, 3))
    torch.testing.assert_close(matrix.to_dense(), torch.tensor([[0, 5.0, 0], [0, 0, 3]]))
