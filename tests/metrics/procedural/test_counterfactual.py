from __future__ import annotations

import torch

from metrics.procedural.counterfactual import flips, shifts


def test_pairs_of_row_and_other_group() -> None:
    probability = torch.tensor([0.9, 0.4])
    moved = torch.tensor([[0.9, 0.2, 0.7], [0.5, 0.9, 0.4]])  # row 0 is in group 0, row 1 in group 2
    groups = torch.tensor([0, 2])
    assert flips(probability, moved, groups).tolist() == [0.5, 0.5]
    torch.testing.assert_close(
        shifts(probability, moved, groups), torch.tensor([(0.7 + 0.2) / 2, (0.1 + 0.5) / 2]).double()
    )


def test_own_group_is_not_used() -> None:
    probability, groups = torch.tensor([0.9]), torch.tensor([1])
    assert flips(probability, torch.tensor([[0.8, 0.0]]), groups).tolist() == [0.0]
