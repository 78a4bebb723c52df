import numpy as np
import pytest
import torch

from metrics.expected_labels import SPREAD, expected_labels


def made(n: int, seed: int = 0, lift: float = 0.0):
    generator = torch.Generator().manual_seed(seed)
    groups = torch.randint(2, (n,), generator=generator)
    margins = 1.5 * torch.randn(n, generator=generator, dtype=torch.float64)
    truth = torch.sigmoid(0.7 * margins + 0.3 + lift * groups)
    return margins, (torch.rand(n, generator=generator) < truth).to(torch.int64), groups, truth


def test_finds_the_probabilities_that_labels_were_drawn_from():
    margins, labels, groups, truth = made(40_000, lift=0.8)
    assert float((expected_labels(margins, labels, groups, 2) - truth).abs().max()) < 0.03


def test_is_the_ridge_logistic_regression_of_scikit_learn():
    """On many rows Platt's targets are labels; a penalty on the intercepts alone is one on scaled columns."""
    from scipy.optimize import minimize

    margins, labels, groups, _ = made(3000, 1, lift=0.5)
    high, low = (float(labels.sum()) + 1) / (float(labels.sum()) + 2), 1 / (float((1 - labels).sum()) + 2)
    target = np.where(labels == 1, high, low)
    design = np.column_stack((margins, np.ones(3000), groups == 0, groups == 1)).astype(float)

    def loss(w):
        m = design @ w
        return np.logaddexp(0, m).sum() - target @ m + (w[2:] ** 2).sum() / (2 * SPREAD**2)

    best = minimize(loss, np.zeros(4), tol=1e-10).x
    found = expected_labels(margins, labels, groups, 2)
    assert np.allclose(found.numpy(), 1 / (1 + np.exp(-design @ best)), atol=1e-4)


def test_a_small_group_is_calibrated_as_all_rows_are():
    margins, labels, groups, _ = made(2000, 2)
    groups[:] = 0
    groups[:3], labels[:3] = 1, 1  # three rows of a group, all positive
    found = expected_labels(margins, labels, groups, 2)
    alone = expected_labels(margins[3:], labels[3:], groups[3:], 2)
    at = margins[3:].sub(margins[0]).abs().argmin() + 3
    assert float(found[0]) == pytest.approx(float(alone[at - 3]), abs=0.08)
    assert float(found[0]) > float(found[at])  # moved a little towards what was seen


def test_sums_are_those_of_labels():
    margins, labels, groups, _ = made(5000, 3, lift=-0.5)
    assert float(expected_labels(margins, labels, groups, 2).sum()) == pytest.approx(float(labels.sum()), abs=1.0)


@pytest.mark.parametrize("labels", [torch.arange(40) >= 20, torch.ones(40), torch.zeros(40)])
def test_separated_or_one_sided_labels_stay_inside(labels):
    labels, groups = labels.to(torch.int64), torch.arange(40) % 2
    found = expected_labels(torch.linspace(-30, 30, 40), labels, groups, 2)
    assert bool(((found >= 0) & (found <= 1) & torch.isfinite(found)).all())
    assert float((found - labels).abs().mean()) < 0.15
