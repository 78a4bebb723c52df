from __future__ import annotations

import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import Tensor

from metrics.procedural.attribution import att_jsd, profile_draws, profile_null, profiles, sensitive_share, signed_gap

BOTH = torch.tensor([True, True])
TWO = torch.tensor([0, 1])


def jsd(attributions: list[list[float]], groups: Tensor = TWO) -> float:
    rows = torch.tensor(attributions, dtype=torch.float64)[None]
    return float(att_jsd(profiles(rows, groups, 2), BOTH))


def random_rows(n: int = 40, columns: int = 5, groups: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    attributions = torch.randn(n, columns, generator=generator, dtype=torch.float64)
    attributions[::7] = 0
    return attributions, torch.arange(n) % groups


@pytest.mark.parametrize(
    ("attributions", "expected"),
    [
        ([[1, 0], [0, -3]], 1.0),  # disjoint reasons
        ([[0.5, 0.5], [0.9, 0.1]], 0.146793),
        ([[2, -2], [-1, 1]], 0.0),  # scale and sign do not count
    ],
)
def test_jsd_by_hand(attributions: list[list[float]], expected: float) -> None:
    assert jsd(attributions) == pytest.approx(expected, abs=1e-6)


def test_jsd_agrees_with_scipy_and_takes_the_largest_pair() -> None:
    attributions, groups = random_rows()
    shares = attributions.abs() / attributions.abs().sum(1, keepdim=True)
    means = [shares[(groups == g) & ~shares.isnan().any(1)].mean(0).numpy() for g in range(3)]
    pairs = [jensenshannon(means[a], means[b], base=2) ** 2 for a, b in ((0, 1), (0, 2), (1, 2))]
    sums = profiles(attributions[None], groups, 3)
    assert float(att_jsd(sums, torch.ones(3, dtype=torch.bool))) == pytest.approx(max(pairs), abs=1e-12)
    assert float(att_jsd(sums, torch.tensor([True, False, True]))) == pytest.approx(pairs[1], abs=1e-12)


def test_signed_gap_sees_what_jsd_does_not() -> None:
    sums = profiles(torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]]), TWO, 2)
    assert float(att_jsd(sums, BOTH)) == 0.0
    assert float(signed_gap(sums, BOTH)) == 1.0


def test_rows_without_attributions_are_left_out() -> None:
    groups = torch.tensor([0, 0, 1])
    assert jsd([[0, 0], [1, 0], [0, 1]], groups) == pytest.approx(1.0)
    sums = profiles(torch.tensor([[[0.0, 0], [1, 0], [0, 1]]]), groups, 2)
    assert sums.rows.tolist() == [[1.0, 1.0]]


def test_silent_groups() -> None:
    assert jsd([[0, 0], [0, 0]]) == 0.0
    assert torch.tensor(jsd([[0, 0], [1, 0]])).isnan()
    assert float(sensitive_share(torch.zeros(1, 3, 2), (0,))) == 0.0


def test_one_estimable_group_is_not_enough() -> None:
    attributions, groups = random_rows()
    sums = profiles(attributions[None], groups, 3)
    for measure in (att_jsd, signed_gap):
        assert bool(measure(sums, torch.tensor([True, False, False])).isnan())


def test_sensitive_share_by_hand() -> None:
    attributions = torch.tensor([[[1.0, -1.0, 2.0], [0.0, 0.0, 0.0], [0.0, 3.0, 1.0]]])
    assert float(sensitive_share(attributions, (1,))) == pytest.approx((0.25 + 0.75) / 2)
    assert float(sensitive_share(attributions, (0, 1, 2))) == pytest.approx(1.0)


def test_weights_equal_repeated_rows() -> None:
    attributions, groups = random_rows()
    weights = torch.randint(0, 4, (6, 40), generator=torch.Generator().manual_seed(1))
    draws = profile_draws(attributions, groups, 3, weights)
    known = torch.ones(3, dtype=torch.bool)
    for draw, weight in enumerate(weights):
        rows = torch.repeat_interleave(torch.arange(40), weight)
        repeated = profiles(attributions[rows][None], groups[rows], 3)
        for measure in (att_jsd, signed_gap):
            assert float(measure(draws, known)[draw]) == pytest.approx(float(measure(repeated, known)), abs=1e-6)


def test_null_is_the_metric_with_other_groups() -> None:
    attributions, groups = random_rows()
    generator = torch.Generator().manual_seed(2)
    shuffled = torch.stack([groups[torch.randperm(40, generator=generator)] for _ in range(5)])
    null = profile_null(attributions, shuffled, 3)
    known = torch.ones(3, dtype=torch.bool)
    for permutation, dealt in enumerate(shuffled):
        expected = att_jsd(profiles(attributions[None], dealt, 3), known)
        assert float(att_jsd(null, known)[permutation]) == pytest.approx(float(expected), abs=1e-6)
