from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from gates.mixing import mixture_log_probabilities, mixture_margin


def simplex(rows: int, experts: int, seed: int) -> torch.Tensor:
    return torch.softmax(torch.randn(rows, experts, generator=torch.Generator().manual_seed(seed)).double(), -1)


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_margin_is_the_logit_of_the_mixed_probability(seed: int, experts: int) -> None:
    weights = simplex(50, experts, seed)
    logits = torch.randn(50, experts, generator=torch.Generator().manual_seed(seed + 1)).double() * 5
    odds = (weights * torch.sigmoid(logits)).sum(-1) / (weights * torch.sigmoid(-logits)).sum(-1)
    torch.testing.assert_close(mixture_margin(weights, logits), odds.log(), rtol=1e-9, atol=1e-9)


def test_identical_experts_give_the_expert() -> None:
    logits = torch.linspace(-8, 8, 33)[:, None].expand(-1, 3)
    torch.testing.assert_close(mixture_margin(simplex(33, 3, 0).float(), logits), logits[:, 0], rtol=1e-6, atol=1e-6)


def test_extreme_logits_stay_finite_where_the_probability_would_round_to_1() -> None:
    margin = mixture_margin(torch.tensor([[0.5, 0.5]]), torch.tensor([[300.0, 200.0]]))
    assert 199 < float(margin) < 301


def test_zero_weights_have_finite_gradients_and_no_influence() -> None:
    weights = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    logits = torch.tensor([[-200.0, 50.0], [1.0, -1.0]], requires_grad=True)
    margin = mixture_margin(weights, logits)
    torch.testing.assert_close(margin.detach(), torch.tensor([-200.0, -1.0]))
    gradients = torch.autograd.grad(margin.sum(), (weights, logits))
    assert all(bool(torch.isfinite(g).all()) for g in gradients)
    assert gradients[1][0, 1] == 0
    assert gradients[1][1, 0] == 0


def test_log_probabilities_add_up_to_one() -> None:
    logits = torch.randn(20, 4, generator=torch.Generator().manual_seed(3)) * 10
    positive, negative = mixture_log_probabilities(simplex(20, 4, 4).float(), logits)
    torch.testing.assert_close(positive.exp() + negative.exp(), torch.ones(20))
