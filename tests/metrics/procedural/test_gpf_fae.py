from __future__ import annotations

import pytest
import torch
from torch import Tensor

from metrics.procedural.gpf_fae import gpf_fae, mmd_p_value


def rows(n: int, seed: int, groups: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Attributions [n, 3] and features [n, 4] that have nothing to do with the groups or with each other."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(n, 3, generator=generator),
        torch.randn(n, 4, generator=generator),
        torch.randint(0, groups, (n,), generator=generator),
    )


def p_value(attributions: Tensor, features: Tensor, groups: Tensor, n_groups: int = 2, seed: int = 0) -> float:
    estimable = torch.bincount(groups, minlength=n_groups) >= 5
    return gpf_fae(attributions, features, groups, estimable, seed=seed, permutations=200)


def test_p_is_about_uniform_for_a_fair_model() -> None:
    values = torch.tensor([p_value(*rows(600, seed), seed=seed) for seed in range(60)])
    ordered = values.sort().values
    distance = (ordered - torch.arange(1, 61) / 60).abs().max()
    assert float(distance) < 1.63 / 60**0.5  # Kolmogorov-Smirnov, 1 %


def test_p_is_small_for_a_planted_difference() -> None:
    attributions, features, groups = rows(400, 1)
    assert p_value(attributions + groups[:, None], features, groups) == pytest.approx(1 / 201)


def test_difference_of_the_rows_is_not_a_difference_of_the_procedure() -> None:
    """Attributions that follow the features alone: matched rows are explained alike although the groups differ."""
    _, features, groups = rows(2000, 2)
    features = features[:, :1] + groups[:, None] * 0.5
    assert p_value(features * 2, features, groups) > 0.2


def test_more_groups_are_corrected_for_the_number_of_pairs() -> None:
    attributions, features, groups = rows(600, 3, groups=4)
    planted = attributions + (groups == 2)[:, None] * 3
    assert p_value(planted, features, groups, 4) == pytest.approx(3 / 201)


def test_equal_attributions_give_one() -> None:
    _, features, groups = rows(50, 4)
    assert p_value(torch.ones(50, 3), features, groups) == 1.0


def test_mmd_agrees_with_its_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 6, 2, generator=generator, dtype=torch.float64)
    pooled = torch.cat((first, second))
    scale = torch.cdist(first, second).median()

    def mmd(a: Tensor, b: Tensor) -> float:
        kernel = [torch.exp(-((torch.cdist(x, y) / scale) ** 2)) for x, y in ((a, a), (b, b), (a, b))]
        within = sum(float(k.sum() - k.diagonal().sum()) for k in kernel[:2]) / 30
        return within - 2 * float(kernel[2].mean())

    observed = mmd(first, second)
    drawn = [
        mmd(pooled[order[:6]], pooled[order[6:]])
        for order in (torch.randperm(12, generator=generator) for _ in range(2000))
    ]
    exact = sum(value >= observed for value in drawn) / 2000
    assert mmd_p_value(first, second, 5000, seed=1) == pytest.approx(exact, abs=0.05)


def test_the_seed_decides() -> None:
    data = rows(300, 5)
    assert p_value(*data, seed=1) == p_value(*data, seed=1)
    assert len({p_value(*data, seed=seed) for seed in range(5)}) > 1
