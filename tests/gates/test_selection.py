from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from gates.selection import ValidationScore, ValidationScores, choose, validation_scores
from metrics.points import DEGENERATE_SHARE

NAN = math.nan


def scores(*rows: tuple[float, float, float]) -> ValidationScores:
    return ValidationScores(*torch.tensor(rows, dtype=torch.float64).T)


def test_the_largest_difference_wins_above_the_floor() -> None:
    assert choose(scores((0.9, 0.3, 0.0), (0.8, 0.05, 0.0), (0.5, 0.0, 0.0)), floor=0.7) == 1


def test_procedural_unfairness_counts_when_it_is_known() -> None:
    assert choose(scores((0.8, 0.1, 0.3), (0.8, 0.15, 0.0)), floor=0.7) == 1
    assert choose(scores((0.8, 0.1, NAN), (0.8, 0.15, NAN)), floor=0.7) == 0


def test_below_the_floor_utility_alone_counts() -> None:
    assert choose(scores((0.6, 0.5, 0.0), (0.55, 0.0, 0.0)), floor=0.7) == 0


def test_a_candidate_without_a_value_never_wins_over_one_with_it() -> None:
    assert choose(scores((0.9, NAN, 0.0), (0.8, 0.3, 0.0), (NAN, 0.0, 0.0)), floor=0.0) == 1


def test_pairwise_rule_agrees_with_the_choice() -> None:
    rows = [(0.9, 0.3, 0.0), (0.8, 0.05, 0.0), (0.5, 0.0, 0.0), (0.6, 0.0, 0.0)]
    singles = [ValidationScore(*row) for row in rows]
    winner = choose(scores(*rows), floor=0.7)
    assert all(singles[winner].better_than(other, 0.7) for i, other in enumerate(singles) if i != winner)
    assert singles[3].better_than(singles[2], 0.7)
    assert not singles[1].better_than(singles[1], 0.7)


@pytest.mark.parametrize("part", ["utility", "fair_res", "fair_proc"])
def test_a_score_without_a_value_is_never_better_than_one_with_it(part: str) -> None:
    """Silence is no virtue, whether two are compared or many; where both are silent the other parts decide."""
    known = ValidationScore(0.8, 0.3, 0.3)
    silent = dataclasses.replace(known, **{"utility": 0.9, part: NAN})
    assert known.better_than(silent, floor=0.5) and not silent.better_than(known, floor=0.5)
    table = [[getattr(s, f) for s in (silent, known)] for f in ("utility", "fair_res", "fair_proc")]
    assert choose(ValidationScores(*torch.tensor(table, dtype=torch.float64)), floor=0.5) == 1
    if part != "utility":
        worse = dataclasses.replace(silent, utility=0.7)
        assert silent.better_than(worse, floor=0.5) and not worse.better_than(silent, floor=0.5)


def test_scores_of_known_predictions() -> None:
    labels, groups = torch.tensor([1, 0, 1, 0]).repeat(10), torch.tensor([0, 0, 1, 1]).repeat(10)
    margins = torch.tensor([[2.0, -2, 2, -2], [2.0, 1, -2, -1]]).repeat(1, 10)
    result = validation_scores(margins, labels, groups, 2)
    assert result[0] == ValidationScore(1.0, 0.0, pytest.approx(NAN, nan_ok=True), 0.5)
    assert result[1].fair_res == 1.0
    assert result[0].final == 1.0


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="single class"):
        validation_scores(torch.zeros(1, 3), torch.ones(3, dtype=torch.int64), torch.tensor([0, 1, 0]), 2)


def test_a_constant_never_wins_by_its_lack_of_gaps() -> None:
    constant, useful = ValidationScore(0.73, 0.0, 0.0, rarer=0.0), ValidationScore(0.74, 0.1, 0.1, rarer=0.3)
    assert useful.better_than(constant, floor=0.7) and not constant.better_than(useful, floor=0.7)
    pair = [
        torch.tensor([getattr(s, f) for s in (constant, useful)]) for f in ("utility", "fair_res", "fair_proc", "rarer")
    ]
    assert choose(ValidationScores(*pair), 0.7) == 1


def test_the_floor_and_the_rarer_share_are_reached_by_equality() -> None:
    pair = torch.tensor([[0.7, 0.6999], [0.2, 0.0], [0.0, 0.0], [DEGENERATE_SHARE, 0.5]], dtype=torch.float64)
    assert choose(ValidationScores(*pair), 0.7) == 0
    key = ValidationScores(*pair).rank_key(0.7)
    assert key[0] > -1 > key[1], "what misses the floor is below all that reach it"
    assert ValidationScores(*pair).rank_key(math.nextafter(0.7, 1))[0] < -1
    pair[3, 0] = math.nextafter(DEGENERATE_SHARE, 0)
    assert ValidationScores(*pair).rank_key(0.7)[0] < -1, "nearly constant"


def test_what_is_not_known_neither_helps_nor_harms() -> None:
    assert ValidationScore(0.8, 0.1).final == pytest.approx(0.7)
    assert ValidationScore(0.8, 0.1, 0.2).final == pytest.approx(0.5)
    assert ValidationScore(0.8, NAN, NAN).final == 0.8
    assert ValidationScore(0.8, 0.1, 0.2).parts == {"utility": 0.8, "fair_res": 0.1, "fair_proc": 0.2}


def test_a_tie_below_the_floor_keeps_the_other() -> None:
    one, two = ValidationScore(0.5, 0.0), ValidationScore(0.5, 0.4)
    assert not one.better_than(two, 0.7) and not two.better_than(one, 0.7)


def test_reasons_of_the_candidates_are_handed_on_and_shares_have_a_default() -> None:
    labels, groups = torch.tensor([1, 0, 1, 0]), torch.tensor([0, 0, 1, 1])
    margins = torch.tensor([[2.0, -2, 2, -2], [2.0, 1, -2, -1]])
    result = validation_scores(margins, labels, groups, 2, torch.tensor([0.3, 0.1]))
    assert result.fair_proc.tolist() == pytest.approx([0.3, 0.1]) and result.rarer is not None
    assert scores((0.8, 0.1, 0.0))[0] == ValidationScore(0.8, 0.1, 0.0)


def test_equality_with_the_floor_is_enough_to_be_chosen_for_fairness() -> None:
    at, far = (0.7, 0.1, 0.0, DEGENERATE_SHARE), (0.9, 0.5, 0.0, 0.5)
    assert choose(ValidationScores(*torch.tensor([at, far], dtype=torch.float64).T), 0.7) == 0
    below = (0.7, 0.1, 0.0, math.nextafter(DEGENERATE_SHARE, 0))
    assert choose(ValidationScores(*torch.tensor([below, far], dtype=torch.float64).T), 0.7) == 1
    assert scores((NAN, 0.0, 0.0), (0.8, 0.3, 0.1)).final.tolist() == pytest.approx([-math.inf, 0.4])
