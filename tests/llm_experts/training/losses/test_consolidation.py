"""The penalty that holds weights, and the Fisher information of a sequence of tasks, by hand."""

from __future__ import annotations

import torch

from llm_experts.training.losses.consolidation import consolidated, holding_penalty


def test_the_penalty_by_hand_and_its_pull() -> None:
    theta = torch.tensor([[1.0, 2.0], [0.0, 0.0]], requires_grad=True)
    anchor, fisher = torch.tensor([0.0, 1.0]), torch.tensor([[2.0, 10.0], [1.0, 3.0]])
    found = holding_penalty(theta, anchor, fisher, 3.0)
    assert found.tolist() == [0.5 * 3 * (2 * 1 + 10 * 1), 0.5 * 3 * (0 + 3 * 1)]
    pull = torch.autograd.grad(found.sum(), theta)[0]
    torch.testing.assert_close(pull, 3.0 * fisher * (theta.detach() - anchor))


def test_tasks_of_long_ago_count_less() -> None:
    fisher = torch.zeros(1)
    for new in (8.0, 4.0, 1.0):
        fisher = consolidated(fisher, torch.tensor([new]), 0.5)
    assert fisher.item() == 8 / 4 + 4 / 2 + 1
