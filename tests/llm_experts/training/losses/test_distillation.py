"""Distillation: values by hand, and what goes wrong when a batch is divided by its texts."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import kl_div

from llm_experts.training.losses.distillation import distillation_loss, token_divergence


def test_a_divergence_by_hand() -> None:
    teacher, student = torch.tensor([[0.8, 0.2]]).log(), torch.tensor([[0.5, 0.5]]).log()
    expected = 0.8 * math.log(1.6) + 0.2 * math.log(0.4)
    assert token_divergence(teacher, student).item() == pytest.approx(expected, abs=1e-6)
    softened = [0.8**0.5, 0.2**0.5]
    p = [value / sum(softened) for value in softened]
    expected = sum(value * math.log(value / 0.5) for value in p)
    assert token_divergence(teacher, student, 2.0).item() == pytest.approx(expected, abs=1e-6)


def test_logits_are_told_apart_by_differences_alone() -> None:
    logits = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0))
    assert token_divergence(logits + 3.0, logits).abs().max() < 1e-6


def test_masked_tokens_and_padding_change_nothing() -> None:
    """The mean stands on answer tokens; ``batchmean`` on [b, t, V] counts padding and divides by the texts."""
    generator = torch.Generator().manual_seed(0)
    teacher, student = (torch.randn(2, 6, 9, generator=generator) for _ in range(2))
    mask = torch.tensor([[0, 0, 1, 1, 1, 0], [0, 1, 0, 0, 0, 0]])
    loss = distillation_loss(teacher, student, mask, 2.0)
    by_hand = [token_divergence(teacher[i, j], student[i, j], 2.0) for i, j in mask.nonzero().tolist()]
    torch.testing.assert_close(loss, 4 * torch.stack(by_hand).mean())
    longer, wide = (torch.cat([part, torch.randn(2, 4, 9, generator=generator)], 1) for part in (teacher, student))
    wider = torch.cat([mask, torch.zeros(2, 4, dtype=mask.dtype)], 1)
    torch.testing.assert_close(distillation_loss(longer, wide, wider, 2.0), loss)

    def batchmean(t: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return 4 * kl_div((s / 2).log_softmax(-1), (t / 2).softmax(-1), reduction="batchmean")

    before, after = batchmean(teacher, student), batchmean(longer, wide)
    assert after > 1.3 * before > 1.3 * 1.3 * loss


def test_the_gradient_is_temperature_times_the_gap_of_probabilities() -> None:
    """∂ (T² KL) / ∂ student = T (softmax(student / T) - softmax(teacher / T)), over the number of tokens."""
    generator = torch.Generator().manual_seed(1)
    teacher = torch.randn(1, 3, 5, generator=generator)
    student = torch.randn(1, 3, 5, generator=generator, requires_grad=True)
    mask = torch.tensor([[1, 0, 1]])
    found = torch.autograd.grad(distillation_loss(teacher, student, mask, 2.0), student)[0]
    expected = 2.0 * ((student / 2).softmax(-1) - (teacher / 2).softmax(-1)) * mask[..., None] / 2
    torch.testing.assert_close(found, expected.detach())


def test_lanes_share_a_teacher() -> None:
    generator = torch.Generator().manual_seed(2)
    teacher, students = torch.randn(2, 3, 5, generator=generator), torch.randn(4, 2, 3, 5, generator=generator)
    mask = torch.ones(2, 3)
    together = distillation_loss(teacher, students, mask, 1.5)
    alone = [distillation_loss(teacher, student, mask, 1.5) for student in students]
    torch.testing.assert_close(together, torch.stack(alone))
