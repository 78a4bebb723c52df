"""Fisher information per sample: by hand on a logistic model, by brute force, and what a batch's square would be."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from llm_experts.training.losses.consolidation import consolidated, fisher_diagonal, holding_penalty


def logistic(theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """log p(y | x), y in {-1, 1}."""
    return logsigmoid(y * (x @ theta))


def test_the_true_fisher_of_a_logistic_model_is_p_times_one_less_p_times_x_squared() -> None:
    """Both labels of every x, as often as the model says: here p = ½ at θ = 0, so half and half."""
    x = torch.tensor([[1.0, 2.0], [0.0, -3.0]])
    both, labels = x.repeat(2, 1), torch.tensor([1.0, 1.0, -1.0, -1.0])
    found = fisher_diagonal(logistic, torch.zeros(2), both, labels)
    torch.testing.assert_close(found, torch.tensor([0.25 * 0.5, 0.25 * (4 + 9) / 2]))


def test_any_point_against_brute_force_whatever_the_chunk() -> None:
    generator = torch.Generator().manual_seed(0)
    x, theta = torch.randn(7, 3, generator=generator), torch.randn(3, generator=generator)
    y = torch.randn(7, generator=generator).sign()
    weights = theta.clone().requires_grad_()
    each = [torch.autograd.grad(logistic(weights, a, b), weights)[0] for a, b in zip(x, y, strict=True)]
    expected = torch.stack(each).square().mean(0)
    for chunk in (1, 3, 7, 100):
        torch.testing.assert_close(fisher_diagonal(logistic, theta, x, y, chunk=chunk), expected)
    of_a_batch = torch.stack(each).mean(0).square()
    assert bool((of_a_batch < 0.7 * expected).any())


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
