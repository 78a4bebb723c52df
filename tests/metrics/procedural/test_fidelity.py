from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from metrics.counts.rates import gap
from metrics.procedural.fidelity import (
    accuracy_drop,
    fidelity,
    fidelity_cfa,
    ref_draws,
    ref_shares,
    top_count,
    top_rows,
    vef_draws,
    vef_means,
    vef_null,
    weighted_top_sums,
)


def random_rows(n: int, seed: int, *, ties: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(n, generator=generator, dtype=torch.float64) * 2 - 1
    if ties:
        scores = (scores * 3).round() / 3
    groups = torch.randint(0, 3, (n,), generator=generator)
    groups[:15] = torch.arange(15) % 3  # five of each at least
    return scores, groups


def test_fidelity_judges_by_the_original_class() -> None:
    probability = torch.tensor([0.9, 0.2, 0.5, 0.6])
    masked = torch.tensor([0.4, 0.7, 0.1, 0.4])
    torch.testing.assert_close(fidelity(probability, masked), torch.tensor([0.5, 0.5, -0.4, 0.2]))
    torch.testing.assert_close(fidelity_cfa(probability, masked), torch.tensor([0.3, 0.1, -0.4, 0.0]))


def test_accuracy_drop() -> None:
    drop = accuracy_drop(torch.tensor([0.9, 0.2, 0.9]), torch.tensor([0.4, 0.7, 0.8]), torch.tensor([1, 1, 0]))
    assert drop.tolist() == [1.0, -1.0, 0.0]


@pytest.mark.parametrize(("rows", "up", "down"), [(5, 1, 1), (6, 2, 1), (10, 2, 2), (14, 3, 2)])
def test_one_row_in_five(rows: int, up: int, down: int) -> None:
    assert (top_count(rows, round_up=True), top_count(rows, round_up=False)) == (up, down)


def test_ties_at_the_border_share_the_places() -> None:
    scores = torch.tensor([[3.0, 1.0, 1.0, 1.0, 0.0], [5.0, 4.0, 3.0, 2.0, 1.0]])
    expected = torch.tensor([[1, 1 / 3, 1 / 3, 1 / 3, 0], [1, 1, 0, 0, 0]])
    torch.testing.assert_close(top_rows(scores, 2), expected)


def test_ref_and_vef_by_hand() -> None:
    """10 rows, two are best explained: both of group 0; each group's best row has 0.9 and 0.3."""
    scores = torch.tensor([[0.9, 0.8, 0.1, 0.0, -0.1, 0.3, 0.2, 0.1, 0.0, -0.2]], dtype=torch.float64)
    groups = torch.tensor([0] * 5 + [1] * 5)
    torch.testing.assert_close(ref_shares(scores, groups, 2), torch.tensor([[0.4, 0.0]], dtype=torch.float64))
    torch.testing.assert_close(vef_means(scores, scores, groups, 2), torch.tensor([[0.9, 0.3]], dtype=torch.float64))


def test_small_groups_are_not_estimable() -> None:
    scores, groups = torch.rand(1, 13), torch.tensor([0] * 5 + [1] * 4 + [3] * 4)
    for values in (ref_shares(scores, groups, 4), vef_means(scores, scores, groups, 4)):
        assert values.isnan().tolist() == [[False, True, True, True]]
        assert bool(gap(values).isnan())
    assert bool(ref_shares(scores[:, :3], groups[:3], 4).isnan().all())


@settings(max_examples=25, deadline=None)
@given(n=st.integers(15, 60), seed=st.integers(0, 10**6), ties=st.booleans())
def test_weights_equal_repeated_rows(n: int, seed: int, ties: bool) -> None:
    scores, groups = random_rows(n, seed, ties=ties)
    weights = torch.randint(0, 4, (5, n), generator=torch.Generator().manual_seed(seed + 1))
    weights[:, :15] += 1  # every group stays estimable
    group_weight = (weights.to(torch.float64)) @ torch.nn.functional.one_hot(groups, 3).to(torch.float64)
    values = torch.stack((scores, scores.sign()), 1)
    shares = ref_draws(scores, groups, weights, group_weight)
    means = vef_draws(scores, values, groups, weights, group_weight)
    for draw, weight in enumerate(weights):
        rows = torch.repeat_interleave(torch.arange(n), weight)
        repeated, at = scores[rows][None], groups[rows]
        torch.testing.assert_close(shares[draw], ref_shares(repeated, at, 3)[0], atol=1e-6, rtol=0.0)
        for v in range(2):
            expected = vef_means(repeated, values[rows, v][None], at, 3)[0]
            torch.testing.assert_close(means[v, draw], expected, atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("round_up", [False, True])
def test_null_is_the_metric_with_other_groups(ties: bool, round_up: bool) -> None:
    scores, groups = random_rows(90, 3, ties=ties)
    generator = torch.Generator().manual_seed(4)
    shuffled = torch.stack([groups[torch.randperm(90, generator=generator)] for _ in range(6)])
    sizes = torch.bincount(groups, minlength=3)
    null = vef_null(scores, scores[:, None], shuffled, sizes, round_up=round_up)
    for permutation, dealt in enumerate(shuffled):
        expected = vef_means(scores[None], scores[None], dealt, 3, round_up=round_up)[0]
        torch.testing.assert_close(null[0, permutation], expected, atol=1e-6, rtol=0.0)


def test_weight_far_down_the_ranks_is_found() -> None:
    """The first ranks carry no weight, so looking at a prefix of them does not suffice."""
    scores = torch.linspace(1, 0, 1000)
    weights = torch.zeros(2, 1000, dtype=torch.uint8)
    weights[:, -10:] = 1
    sums = weighted_top_sums(scores, weights, torch.tensor([2, 0]), scores[:, None])
    torch.testing.assert_close(sums[:, 0], torch.tensor([scores[990:992].sum(), 0.0]).double(), atol=1e-6, rtol=0.0)


def test_order_of_rows_does_not_matter() -> None:
    scores, groups = random_rows(100, 8, ties=True)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        ref_shares(scores[None], groups, 3), ref_shares(scores[order][None], groups[order], 3), atol=1e-12, rtol=0.0
    )
    torch.testing.assert_close(
        vef_means(scores[None], scores[None], groups, 3),
        vef_means(scores[order][None], scores[order][None], groups[order], 3),
        atol=1e-12,
        rtol=0.0,
    )
