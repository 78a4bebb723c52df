"""Distillation: values and gradients by hand."""

from __future__ import annotations

import math

import pytest
import torch

from llm_experts.training.losses.distillation import token_divergence


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


def test_the_gradient_is_temperature_times_the_gap_of_probabilities() -> None:
    """∂ (T² KL) / ∂ student = T (softmax(student / T) - softmax(teacher / T))."""
    generator = torch.Generator().manual_seed(1)
    teacher = torch.randn(1, 3, 5, generator=generator)
    student = torch.randn(1, 3, 5, generator=generator, requires_grad=True)
    found = torch.autograd.grad(4 * token_divergence(teacher, student, 2.0).sum(), student)[0]
    expected = 2.0 * ((student / 2).softmax(-1) - (teacher / 2).softmax(-1))
    torch.testing.assert_close(found, expected.detach())


def test_lanes_share_a_teacher() -> None:
    generator = torch.Generator().manual_seed(2)
    teacher, students = torch.randn(2, 3, 5, generator=generator), torch.randn(4, 2, 3, 5, generator=generator)
    together = token_divergence(teacher, students, 1.5)
    alone = [token_divergence(teacher, student, 1.5) for student in students]
    torch.testing.assert_close(together, torch.stack(alone))
