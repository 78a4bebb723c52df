"""Intervals of procedural measures whose rows all say the same: resampling such rows shows no spread."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from metrics.evidence import Evidence
from metrics.procedural.unseen import blind_gap_ends, is_blind, mean_ends, unseen_reach
from metrics.score import score

GENERATOR = torch.Generator().manual_seed(3)
N = 40
GROUPS = torch.arange(N) % 2
LABELS = torch.arange(N) // 2 % 2
PROBABILITY = torch.rand(N, generator=GENERATOR) * 0.98 + 0.01
OPEN = 1 - 0.025 ** (1 / N)  # of 40 rows without exception: 8.8 % may be otherwise
OPEN_HALF = 1 - 0.025 ** (1 / (N // 2))


def evidence(**parts: torch.Tensor) -> Evidence:
    one_column = torch.zeros(N, 3)
    one_column[:, 1] = 2.0
    start = Evidence(PROBABILITY, one_column, PROBABILITY.clone(), PROBABILITY[:, None].repeat(1, 2), None, (0,))
    return replace(start, **parts)  # type: ignore[arg-type]


def ends(metric: str, found: Evidence) -> tuple[float, float, float]:
    value = score(found, LABELS, GROUPS, ["a", "b"], seed=0, draws=60, permutations=20).values[metric]
    assert value.status == "ok"
    return value.estimate, value.low, value.high


def test_no_flip_among_the_rows_does_not_say_that_none_ever_flips() -> None:
    for metric in ("cfr@1", "cfr_soft@1"):
        assert ends(metric, evidence()) == pytest.approx((0, 0, OPEN))


def test_a_flip_of_every_row_leaves_room_below() -> None:
    other = torch.where(PROBABILITY > 0.5, 0.0, 1.0)[:, None].repeat(1, 2)
    assert ends("cfr@1", evidence(counterfactual=other)) == pytest.approx((1, 1 - OPEN, 1))


def test_no_attribution_to_a_sensitive_column_among_the_rows() -> None:
    assert ends("sens_share@1", evidence()) == pytest.approx((0, 0, OPEN))


def test_the_same_share_in_every_row_leaves_room_on_both_sides() -> None:
    quarter = torch.tensor([1.0, -3.0, 0.0]).repeat(N, 1)
    found = ends("sens_share@1", evidence(attributions=quarter))
    assert found == pytest.approx((0.25, 0.25 * (1 - OPEN), 0.25 + 0.75 * OPEN))


def test_explanations_without_effect_on_any_row() -> None:
    """Four of a group's 20 rows are its best explained."""
    reach = math.sqrt(2) * (1 - 0.025 ** (1 / 4))
    for metric in ("vef@1", "vef_acc@1"):
        assert ends(metric, evidence()) == pytest.approx((0, 0, reach), abs=1e-6)
    estimate, low, high = ends("ref@1", evidence())  # every row is best explained to one part in five
    assert (estimate, low) == pytest.approx((0, 0), abs=1e-6)
    assert high == pytest.approx(math.hypot(0.8 * OPEN_HALF, 0.2 * OPEN_HALF), abs=1e-5)


def test_the_same_reason_for_every_row() -> None:
    reach = math.sqrt(2) * OPEN_HALF
    for metric in ("att_jsd@1", "signed_att@1"):
        assert ends(metric, evidence()) == pytest.approx((0, 0, reach), abs=1e-6)


def test_one_reason_for_each_group() -> None:
    opposite = torch.zeros(N, 3)
    opposite[:, 1] = 2.0 * GROUPS - 1
    estimate, low, high = ends("signed_att@1", evidence(attributions=opposite))
    assert (estimate, high) == (1, 1)
    assert low == pytest.approx(1 - math.sqrt(2) * OPEN_HALF, abs=1e-6)


def test_a_composite_of_measures_without_spread_has_a_width() -> None:
    estimate, low, high = ends("fair_proc@1", evidence())
    assert estimate == pytest.approx(0, abs=1e-6) and low == 0 and high > 0.1


def test_a_constant_answer_has_no_procedure_by_what_it_is() -> None:
    half = torch.full((N,), 0.5)
    found = evidence(probability=half, masked=half, counterfactual=half[:, None].repeat(1, 2))
    for metric in ("vef@1", "cfr@1", "cfr_soft@1"):
        assert ends(metric, found) == (0, 0, 0)


def test_rows_with_spread_keep_their_interval() -> None:
    masked = (PROBABILITY + 0.3 * torch.randn(N, generator=GENERATOR)).clamp(0, 1)
    varied = torch.randn(N, 3, generator=GENERATOR)
    moved = torch.rand(N, 2, generator=GENERATOR)
    found = evidence(masked=masked, attributions=varied, counterfactual=moved)
    for metric in ("ref@1", "vef@1", "sens_share@1", "cfr_soft@1", "signed_att@1", "att_jsd@1"):
        estimate, low, high = ends(metric, found)
        assert low <= estimate <= high and 0.01 < high - low < 0.9, metric


def test_a_gap_of_one_group_without_spread_and_one_with() -> None:
    """By hand: group a is 0 in [0, .05 of 1], group b has the percentiles of its draws."""
    spread = torch.from_numpy(np.linspace(0.2, 0.4, 41))
    draws = torch.stack((torch.zeros(41, dtype=torch.float64), spread), 1)
    rows = math.log(0.025) / math.log(0.95)
    found = blind_gap_ends(torch.tensor([0.0, 0.3]), draws, [rows, 10.0], (0.0, 1.0))
    assert found == pytest.approx((0.3 - math.hypot(0.095, 0.05), 0.3 + 0.095))


def test_groups_that_all_have_spread_need_no_bounds() -> None:
    assert blind_gap_ends(torch.tensor([0.1, 0.2]), torch.rand(30, 2, dtype=torch.float64), [9, 9], (0, 1)) is None
    assert blind_gap_ends(torch.tensor([0.1]), torch.zeros(30, 1), [9], (0, 1)) is None


def test_draws_that_are_not_known_say_nothing() -> None:
    assert not is_blind(torch.full((5,), torch.nan))
    assert is_blind(torch.tensor([torch.nan, 0.5, 0.5]))
    assert not is_blind(torch.tensor([0.5, 0.50001]))


def test_mean_ends_by_hand() -> None:
    rows = math.log(0.025) / math.log(0.9)  # a tenth is open
    assert mean_ends(0.0, rows, (-1.0, 1.0)) == pytest.approx((-0.1, 0.1))
    assert mean_ends(1.0, rows, (-1.0, 1.0)) == pytest.approx((0.8, 1.0))
    assert unseen_reach([rows, rows, 1e6]) == pytest.approx(0.1 * math.sqrt(2), abs=1e-4)
    assert unseen_reach([1.0, 1.0]) == 1.0
