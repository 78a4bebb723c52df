"""Surrogates: a metric of counts as a loss, which at hard predictions is the metric itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from metrics.count_metrics.dp import METRIC as DP
from metrics.count_metrics.eopp import METRIC as EOPP
from metrics.counts.tables import count_table, soft_counts
from metrics.points import count_values
from metrics.registry import COUNTS
from metrics.surrogates import surrogate


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def case(rows: int, n_groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities [rows] float64, labels, groups."""
    g = generator(3)
    probability = torch.rand(rows, generator=g, dtype=torch.float64)
    return probability, torch.randint(0, 2, (rows,), generator=g), torch.randint(0, n_groups, (rows,), generator=g)


def test_soft_gap_with_hard_predictions_is_the_metric() -> None:
    _, labels, groups = case(60, 2)
    hard = torch.randint(0, 2, (60,), generator=generator(5)).float()
    for metric, among in ((DP, labels >= 0), (EOPP, labels == 1)):
        means = [float(hard[(groups == s) & among].mean()) for s in (0, 1)]
        assert float(surrogate(metric, hard, labels, groups, 2)) == pytest.approx(abs(means[0] - means[1]), abs=1e-6)


def test_a_batch_of_one_group_has_no_gap_and_no_gradient() -> None:
    probability = torch.rand(5, generator=generator(0)).requires_grad_()
    gap = surrogate(DP, probability, torch.ones(5, dtype=torch.int64), torch.zeros(5, dtype=torch.int64), 2)
    assert float(gap.detach()) == 0
    assert torch.equal(torch.autograd.grad(gap, probability)[0], torch.zeros(5))


@pytest.mark.parametrize("id", COUNTS)
def test_at_hard_predictions_every_surrogate_is_its_metric(id: str) -> None:
    probability, labels, groups = case(400, 3)
    hard = (probability > 0.5).to(torch.float64).requires_grad_()
    value = count_values(count_table(hard.detach()[None], labels, groups, 3))[id][0]
    soft = surrogate(COUNTS[id], hard, labels, groups, 3)
    torch.testing.assert_close(soft.detach(), value, rtol=0, atol=1e-7)
    (gradient,) = torch.autograd.grad(soft, hard)
    assert bool(gradient.isfinite().all())
    assert bool((gradient != 0).any())


@pytest.mark.parametrize("id", COUNTS)
def test_its_gradient_is_that_of_the_soft_counts(id: str) -> None:
    """One step downhill changes the surrogate by as much as the gradient says."""
    probability, labels, groups = case(300, 3)
    step = 1e-4 * torch.randn(300, generator=generator(1), dtype=torch.float64)
    at = probability.clone().requires_grad_()
    value = surrogate(COUNTS[id], at, labels, groups, 3)
    (gradient,) = torch.autograd.grad(value, at)
    change = surrogate(COUNTS[id], probability + step, labels, groups, 3) - value.detach()
    assert float(change) == pytest.approx(float(gradient @ step), rel=0.05)


@pytest.mark.parametrize("id", COUNTS)
def test_what_the_rows_cannot_give_is_no_loss(id: str) -> None:
    probability = torch.rand(2, 6, generator=generator(2)).requires_grad_()
    labels, groups = torch.zeros(6, dtype=torch.int64), torch.tensor([0, 0, 0, 0, 0, 2])
    value = surrogate(COUNTS[id], probability, labels, groups, 4)
    assert value.shape == (2,)
    (gradient,) = torch.autograd.grad(value.sum(), probability)
    assert bool(gradient.isfinite().all())


def test_soft_counts_of_hard_predictions_are_counts() -> None:
    probability, labels, groups = case(100, 3)
    hard = (probability > 0.5).to(torch.float64)
    assert torch.equal(soft_counts(hard, labels, groups, 3), count_table(hard[None], labels, groups, 3)[0])
    assert torch.allclose(soft_counts(probability, labels, groups, 3).sum(), torch.tensor(100.0, dtype=torch.float64))
