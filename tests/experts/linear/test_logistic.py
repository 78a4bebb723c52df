from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from experts.linear.logistic import LogisticLoss, fit_logistic
from experts.soft_gap import soft_gap
from metrics.surrogates import rate_weights


def rows(n: int = 200) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(4)
    features = torch.randn(n, 3, generator=g, dtype=torch.float64) * torch.tensor([1.0, 5.0, 0.1])
    groups = (torch.rand(n, generator=g) < 0.4).long()
    features[:, 0] += groups
    labels = (features[:, 0] + 0.1 * features[:, 1] + torch.randn(n, generator=g) > 0.3).double()
    return torch.cat([features, torch.ones(n, 1, dtype=torch.float64)], 1), labels, groups


@pytest.mark.parametrize("C", [1e-3, 0.1, 10.0])
def test_agrees_with_scikit_learn(C: float) -> None:
    features, labels, groups = rows()
    weights = 1.0 + groups
    weights = weights / weights.mean()
    model = LogisticRegression(C=C, tol=1e-10, max_iter=1000)
    model.fit(features[:, :-1].numpy(), labels.numpy(), sample_weight=weights.numpy())
    expected = torch.cat([torch.from_numpy(model.coef_[0]), torch.from_numpy(model.intercept_)])
    found = fit_logistic(LogisticLoss(features, labels, weights, C))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_the_gradient_is_that_of_finite_differences() -> None:
    features, labels, groups = rows()
    rates = rate_weights(labels.long(), groups, 2).double()
    loss = LogisticLoss(features, labels, torch.ones(len(labels), dtype=torch.float64), 0.5, rates, 0.8)
    theta = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64)
    _, gradient = loss.of(theta)
    for place in range(4):
        step = torch.zeros(4, dtype=torch.float64)
        step[place] = 1e-6
        assert float(gradient[place]) == pytest.approx(
            (loss.of(theta + step)[0] - loss.of(theta - step)[0]) / 2e-6, abs=1e-6
        )


def test_a_gap_in_the_loss_gets_smaller_and_without_weight_changes_nothing() -> None:
    features, labels, groups = rows()
    rates, ones = rate_weights(labels.long(), groups, 2).double(), torch.ones(len(labels), dtype=torch.float64)
    plain = fit_logistic(LogisticLoss(features, labels, ones, 1.0))
    assert torch.equal(plain, fit_logistic(LogisticLoss(features, labels, ones, 1.0, rates, 0.0)))
    fair = fit_logistic(LogisticLoss(features, labels, ones, 1.0, rates, 3.0), plain)
    gaps = [float(soft_gap((features @ theta).numpy(), rates.numpy())[0]) for theta in (plain, fair)]
    assert gaps[1] < gaps[0] / 2


def test_columns_that_are_sums_of_others_or_constant_do_no_harm() -> None:
    features, labels, _ = rows()
    wide = torch.cat([features[:, :1], features[:, :1], torch.zeros(len(labels), 1), features], 1)
    found = fit_logistic(LogisticLoss(wide, labels, torch.ones(len(labels), dtype=torch.float64), 1.0))
    assert bool(found.isfinite().all()) and float(found[0]) == pytest.approx(float(found[1]), abs=1e-4)
    assert float(found[2]) == pytest.approx(0.0, abs=1e-6)
