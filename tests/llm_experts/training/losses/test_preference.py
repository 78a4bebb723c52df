"""The loss of pairs: values by hand, gradients, and TRL's own numbers."""

from __future__ import annotations

import math

import torch

from llm_experts.training.losses.preference import preference_figures, preference_loss


def test_nothing_learnt_costs_the_logarithm_of_two() -> None:
    none = torch.zeros(3)
    assert preference_loss(none, none, 0.1).tolist() == [torch.tensor(math.log(2)).item()] * 3


def test_values_by_hand() -> None:
    chosen, rejected = torch.tensor([10.0, -10.0]), torch.tensor([-10.0, 10.0])
    right, wrong = math.log1p(math.exp(-2.0)), math.log1p(math.exp(2.0))  # β h = ±2
    torch.testing.assert_close(preference_loss(chosen, rejected, 0.1), torch.tensor([right, wrong]))
    smoothed = [0.9 * right + 0.1 * wrong, 0.9 * wrong + 0.1 * right]
    torch.testing.assert_close(preference_loss(chosen, rejected, 0.1, 0.1), torch.tensor(smoothed))


def test_the_gradient_is_the_papers() -> None:
    """∇L = -β σ(-β h) (∇ chosen - ∇ rejected): pairs that are wrong weigh more."""
    chosen = torch.tensor([3.0, -3.0], requires_grad=True)
    rejected = torch.tensor([-2.0, 2.0], requires_grad=True)
    loss = preference_loss(chosen, rejected, 0.1).sum()
    up, down = torch.autograd.grad(loss, (chosen, rejected))
    weight = 0.1 * torch.sigmoid(-0.1 * (chosen - rejected)).detach()
    torch.testing.assert_close(up, -weight)
    torch.testing.assert_close(down, weight)


def test_figures_count_ties_as_a_half() -> None:
    chosen = torch.tensor([[1.0, -1.0, 0.0], [4.0, 4.0, 4.0]])
    found = preference_figures(chosen, torch.zeros(3), 0.5)
    assert found["accuracy"].tolist() == [[1.0, 0.0, 0.5], [1.0, 1.0, 1.0]]
    assert found["margin"].tolist() == found["chosen"].tolist() == [[0.5, -0.5, 0.0], [2.0, 2.0, 2.0]]
    assert found["rejected"].tolist() == [0.0] * 3
