"""AUC: weights, DeLong's interval, boundaries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from metrics.auc import auc, auc_value, delong_variance, projected_auc, weighted_auc
from metrics.resample import row_weights


def _case(n: int, ties: bool, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    scores = 1 / (1 + np.exp(-(rng.normal(size=n) + labels)))
    return torch.from_numpy(np.round(scores, 1) if ties else scores), torch.from_numpy(labels)


@pytest.mark.parametrize("ties", [False, True])
def test_weighted_auc_equals_sklearn(ties: bool) -> None:
    p, y = _case(400, ties)
    weights = row_weights(400, 20, np.random.default_rng(1))
    expected = [roc_auc_score(y, p, sample_weight=w.numpy()) for w in weights]
    np.testing.assert_allclose(weighted_auc(p, y, weights), expected, atol=1e-6)


@pytest.mark.parametrize("ties", [False, True])
def test_delong_variance_equals_its_definition_and_the_bootstrap(ties: bool) -> None:
    p, y = _case(500, ties)
    positive, negative = p[y == 1], p[y == 0]
    kernel = (positive[:, None] > negative).double() + (positive[:, None] == negative).double() / 2
    by_definition = kernel.mean(1).var() / len(positive) + kernel.mean(0).var() / len(negative)
    assert delong_variance(p, y) == pytest.approx(float(by_definition), rel=1e-9)
    drawn = weighted_auc(p, y, row_weights(500, 2000, np.random.default_rng(2)))
    assert delong_variance(p, y) ** 0.5 == pytest.approx(float(drawn.std()), rel=0.07)
    value = auc_value(p, y)
    assert value.estimate == pytest.approx(roc_auc_score(y, p))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (value.low, value.high) == pytest.approx((low, high), abs=0.01)


def test_extremes() -> None:
    y = torch.tensor([0, 0, 0, 1, 1])
    perfect = auc_value(torch.tensor([0.0, 0.1, 0.2, 0.3, 1.0]), y)
    assert (perfect.estimate, perfect.low, perfect.high) == pytest.approx((1.0, 0.025**0.5, 1.0))
    wrong = auc_value(torch.tensor([0.9, 0.9, 0.8, 0.3, 0.1]), y)
    assert (wrong.estimate, wrong.low, wrong.high) == pytest.approx((0.0, 0.0, 1 - 0.025**0.5))
    constant = auc_value(torch.full((5,), 0.3), y)
    assert (constant.estimate, constant.low, constant.high) == (0.5, 0.5, 0.5)
    assert auc_value(torch.rand(5), torch.ones(5, dtype=torch.int64)).status == "not_estimable"
    assert auc_value(torch.tensor([0.1, 0.4, 0.2]), torch.tensor([0, 1, 1])).low >= 0


def test_signed_zero_ties_with_zero() -> None:
    y = torch.tensor([1, 0, 1])
    assert float(auc(torch.tensor([[-0.0, 0.0, 0.5]]), y)[0]) == 0.75


def test_coverage_of_the_interval() -> None:
    """Normal scores, one standard deviation apart: AUC = Phi(1/sqrt 2) = 0.7602."""
    hits = 0
    for seed in range(300):
        value = auc_value(*_case(80, False, seed))
        hits += value.low <= 0.76025 <= value.high
    assert hits / 300 > 0.91


@pytest.mark.parametrize("ties", [False, True])
def test_projected_auc_draws_follow_the_counted_ones(ties: bool) -> None:
    p, y = _case(3000, ties)
    weights = row_weights(3000, 300, np.random.default_rng(1))
    exact, projected = weighted_auc(p, y, weights), projected_auc(p, y, weights)
    assert float((exact - projected).abs().max()) < 0.1 * float(exact.std())
    assert float(projected.std() / exact.std()) == pytest.approx(1, abs=0.02)
    everyone_once = projected_auc(p, y, torch.ones(1, 3000))
    assert float(everyone_once[0]) == pytest.approx(roc_auc_score(y, p), abs=1e-6)
