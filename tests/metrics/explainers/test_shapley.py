from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from metrics.explainers.shapley import shapley_columns


def masked_model(features: Tensor, model: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda picked, keep: model(features[picked] * keep)


def enumerated(features: Tensor, model: Callable[[Tensor], Tensor]) -> Tensor:
    """Shapley's formula over all subsets, written independently."""
    n, c = features.shape
    phi = torch.zeros(n, c, dtype=torch.float64)
    for j in range(c):
        others = [k for k in range(c) if k != j]
        for size in range(c):
            weight = math.factorial(size) * math.factorial(c - 1 - size) / math.factorial(c)
            for subset in itertools.combinations(others, size):
                keep = torch.zeros(c)
                keep[list(subset)] = 1
                with_j = keep.clone()
                with_j[j] = 1
                phi[:, j] += weight * (model(features * with_j) - model(features * keep))
    return phi


def third_order(x: Tensor) -> Tensor:
    return torch.sin(x).sum(-1) + x[..., 0] * x[..., 1] * x[..., 2] + torch.relu(x.sum(-1)) + 0.7


@pytest.fixture
def features() -> Tensor:
    return torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_all_permutations_equal_the_subset_formula(features: Tensor) -> None:
    phi = shapley_columns(masked_model(features, third_order), 9, 4, seed=0, pairs=12)
    torch.testing.assert_close(phi, enumerated(features, third_order))


def test_sampling_converges_to_the_subset_formula() -> None:
    features = torch.randn(9, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    phi = shapley_columns(masked_model(features, third_order), 9, 6, seed=0, pairs=300)
    torch.testing.assert_close(phi, enumerated(features, third_order), atol=0.02, rtol=0.0)


def test_one_pair_is_exact_for_pairwise_interactions() -> None:
    features = torch.randn(5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def pairwise(x: Tensor) -> Tensor:
        return x[..., 0] * x[..., 1] - 2 * x[..., 2] * x[..., 4] + x[..., 3] ** 2

    phi = shapley_columns(masked_model(features, pairwise), 5, 5, seed=3, pairs=1)
    torch.testing.assert_close(phi, enumerated(features, pairwise))


def test_linear_model_gives_weight_times_value(features: Tensor) -> None:
    weight = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)
    phi = shapley_columns(masked_model(features, lambda x: x @ weight + 3), 9, 4, seed=0)
    torch.testing.assert_close(phi, features * weight)


@pytest.mark.parametrize("columns", [1, 3, 8])
def test_rows_sum_to_the_margin_over_the_baseline(columns: int) -> None:
    features = torch.randn(30, columns, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def model(x: Tensor) -> Tensor:
        return torch.exp(x.sum(-1)).clamp(max=5) + x.prod(-1)

    phi = shapley_columns(masked_model(features, model), 30, columns, seed=1)
    torch.testing.assert_close(phi.sum(1), model(features) - model(features * 0))


def test_a_row_does_not_depend_on_the_others(features: Tensor) -> None:
    whole = shapley_columns(masked_model(features, third_order), 9, 4, seed=5)
    part = shapley_columns(masked_model(features[4:7], third_order), 3, 4, seed=5)
    torch.testing.assert_close(whole[4:7], part)


def test_the_seed_decides(features: Tensor) -> None:
    def explain(seed: int) -> Tensor:
        return shapley_columns(masked_model(features, third_order), 9, 4, seed=seed, pairs=1)

    assert torch.equal(explain(1), explain(1))
    assert not torch.equal(explain(1), explain(2))


def test_calls_are_bounded(monkeypatch: pytest.MonkeyPatch, features: Tensor) -> None:
    monkeypatch.setattr("metrics.explainers.shapley._CALL", 7)
    sizes: list[int] = []

    def margin(picked: Tensor, keep: Tensor) -> Tensor:
        sizes.append(len(picked))
        return third_order(features[picked] * keep)

    phi = shapley_columns(margin, 9, 4, seed=0, pairs=12)
    assert max(sizes) <= 7
    torch.testing.assert_close(phi, enumerated(features, third_order))


def test_nothing_to_explain_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        shapley_columns(lambda picked, keep: picked, 0, 3, seed=0)
