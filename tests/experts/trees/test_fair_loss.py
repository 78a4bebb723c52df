from __future__ import annotations

import numpy as np
import pytest
import torch

from experts.trees.fair_loss import FairLoss


def problem(n_groups: int, n: int = 40) -> tuple[FairLoss, torch.Tensor, torch.Tensor, np.ndarray]:
    rng = np.random.default_rng(n_groups)
    labels = torch.from_numpy(rng.integers(0, 2, n))
    groups = torch.from_numpy(rng.integers(0, n_groups, n))
    return FairLoss.of(labels, groups, n_groups, 0.7), labels, groups, rng.normal(size=n)


def test_the_gradient_is_that_of_finite_differences() -> None:
    loss, _, _, margins = problem(3)
    gradient, curvature = loss.gradient(margins)
    step = 1e-6
    for row in range(0, len(margins), 7):
        moved = np.eye(len(margins))[row] * step
        slope = (loss.value(margins + moved) - loss.value(margins - moved)) / (2 * step)
        assert gradient[row] == pytest.approx(len(margins) * slope, abs=1e-5)
    plain = FairLoss(loss.labels, loss.rates, 0.0).gradient(margins)
    np.testing.assert_allclose(curvature - plain[1], np.abs(gradient - plain[0]), atol=1e-12)


def test_without_gaps_gradient_and_curvature_are_those_of_the_log_loss() -> None:
    _, labels, groups, margins = problem(2)
    gradient, curvature = FairLoss.of(labels, groups, 2, 0.0).gradient(margins)
    probability = 1 / (1 + np.exp(-margins))
    np.testing.assert_allclose(gradient, probability - labels.numpy())
    np.testing.assert_allclose(curvature, probability * (1 - probability))


def test_the_start_is_the_log_odds() -> None:
    labels, groups = torch.tensor([1, 0, 0, 0]), torch.tensor([0, 0, 1, 1])
    assert FairLoss.of(labels, groups, 2, 1.0).start == pytest.approx(np.log(1 / 3))
    assert np.isfinite(FairLoss.of(labels * 0, groups, 2, 1.0).start)
