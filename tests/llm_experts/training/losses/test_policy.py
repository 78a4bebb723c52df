"""Expected rewards: exact values by hand, and the sampled gradient equal to the exact one in expectation."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from llm_experts.training.losses.policy import (
    adapted_beta,
    answer_events,
    expected_reward,
    leave_one_out,
    sampled_reward,
)

TOKENS = 3
"""A vocabulary of a, b and the end; answers are at most two tokens and the end."""


def every_answer() -> list[tuple[int, ...]]:
    """All answers: the end at once, one token and the end, or two tokens (the longest are cut there)."""
    end = TOKENS - 1
    return [(end,), *((a, end) for a in range(end)), *product(range(end), repeat=2)]


def log_policy(theta: Tensor) -> Tensor:
    """[7] log-probabilities of all answers of a policy with a row of logits for each token before: [4, 3]."""
    table = theta.log_softmax(-1)
    found = []
    for answer in every_answer():
        before, total = TOKENS, torch.zeros((), dtype=theta.dtype)
        for token in answer:
            total, before = total + table[before, token], token
        found.append(total)
    return torch.stack(found)


def drawn(seed: int) -> Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exact_gradient(theta: Tensor, base: Tensor, rewards: Tensor, beta: float) -> Tensor:
    weights = theta.clone().requires_grad_()
    objective, *_ = expected_reward(log_policy(weights), log_policy(base), rewards, beta)
    return torch.autograd.grad(objective, weights)[0]


def test_two_answers_by_hand() -> None:
    p, q = torch.tensor([0.75, 0.25]).log(), torch.tensor([0.5, 0.5]).log()
    objective, reward, divergence = expected_reward(p, q, torch.tensor([1.0, -1.0]), 0.2)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert reward.item() == pytest.approx(0.5, abs=1e-6)
    assert divergence.item() == pytest.approx(expected, abs=1e-6)
    assert objective.item() == pytest.approx(0.5 - 0.2 * expected, abs=1e-6)


def test_the_optimum_is_the_base_tilted_by_the_reward() -> None:
    """π* ∝ π₀ exp(r / β), and J there is β log Σ π₀ exp(r / β)."""
    base, rewards, beta = torch.randn(5, generator=torch.Generator().manual_seed(0)), torch.arange(5.0) / 5, 0.3
    best = (base.log_softmax(-1) + rewards / beta).requires_grad_()
    objective, *_ = expected_reward(best, base, rewards, beta)
    torch.testing.assert_close(objective, beta * (base.log_softmax(-1) + rewards / beta).logsumexp(-1))
    assert torch.autograd.grad(objective, best)[0].abs().max() < 1e-6


def test_what_is_not_listed_is_an_event_too() -> None:
    found = answer_events(torch.tensor([[0.5, 0.2], [0.5, 0.5]]).log()).exp()
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.2, 0.3], [0.5, 0.5, 0.0]]))
    full = torch.tensor([0.5, 0.5]).log().requires_grad_()
    assert torch.autograd.grad(answer_events(full).sum(), full)[0].isfinite().all()


def test_all_answers_of_a_small_vocabulary_add_up() -> None:
    torch.testing.assert_close(log_policy(drawn(0)).logsumexp(-1), torch.zeros((), dtype=torch.float64))


@pytest.mark.parametrize("k", [2, 3])
def test_the_sampled_gradient_is_the_exact_one_in_expectation(k: int) -> None:
    """No sampling error: every draw of k answers out of 7, weighted by how likely it is."""
    theta, base, beta = drawn(0), drawn(1), 0.3
    rewards = torch.tensor([0.0, 1.0, 0.2, 0.7, 0.0, 0.4, 1.0], dtype=torch.float64)
    weights = theta.clone().requires_grad_()
    log_p, log_q = log_policy(weights), log_policy(base)
    draws = torch.tensor(list(product(range(len(rewards)), repeat=k)))
    chance = log_p.detach()[draws].sum(-1).exp()
    estimates = sampled_reward(log_p[draws], log_q[draws], rewards[draws], beta)
    expectation = torch.autograd.grad((chance * estimates).sum(), weights)[0]
    torch.testing.assert_close(expectation, exact_gradient(theta, base, rewards, beta), rtol=1e-10, atol=1e-12)


def test_the_baseline_changes_the_spread_and_not_the_expectation() -> None:
    theta, k = drawn(2), 2
    rewards = torch.tensor([5.0, 6.0, 5.2, 5.7, 5.0, 5.4, 6.0], dtype=torch.float64)
    weights = theta.clone().requires_grad_()
    log_p = log_policy(weights)
    draws = torch.tensor(list(product(range(len(rewards)), repeat=k)))
    chance = log_p.detach()[draws].sum(-1).exp()
    with_it = sampled_reward(log_p[draws], log_p.detach()[draws], rewards[draws], 0.0)
    without = (rewards[draws] * log_p[draws]).mean(-1)

    def moments(estimates: Tensor) -> tuple[Tensor, Tensor]:
        each = [torch.autograd.grad(e, weights, retain_graph=True)[0].flatten() for e in estimates]
        gradients = torch.stack(each)
        mean = (chance[:, None] * gradients).sum(0)
        return mean, (chance[:, None] * (gradients - mean).square()).sum()

    (mean, spread), (plain_mean, plain_spread) = moments(with_it), moments(without)
    torch.testing.assert_close(mean, plain_mean, rtol=1e-10, atol=1e-12)
    assert spread < plain_spread / 10


def test_leave_one_out_by_hand() -> None:
    found = leave_one_out(torch.tensor([[1.0, 0.0, 0.5], [2.0, 2.0, 2.0]]))
    torch.testing.assert_close(found, torch.tensor([[0.75, -0.75, 0.0], [0.0, 0.0, 0.0]]))
    with pytest.raises(ValueError, match="at least 2 samples"):
        leave_one_out(torch.ones(3, 1))


def test_beta_rises_above_the_target_and_falls_far_below_it() -> None:
    beta = adapted_beta(torch.full((4,), 0.3), torch.tensor([0.31, 0.3, 0.21, 0.19]), 0.3)
    torch.testing.assert_close(beta, torch.tensor([0.45, 0.3, 0.3, 0.2]))
