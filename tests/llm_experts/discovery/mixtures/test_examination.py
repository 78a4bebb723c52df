"""The final examination: planted mixtures of which it is known what they are worth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from llm_experts.discovery.mixtures.examination import BASE, UNIFORM, Examination, Rule, examine
from llm_experts.discovery.mixtures.limits import Limits
from llm_experts.evaluation.compare import mcnemar, newcombe
from llm_experts.search.books.item_book import ItemBook
from metrics.proportions import quantile, wilson

DOMAINS = ("sums", "dates", "people")
N = 60
"""Scenarios of each domain."""
OWNERS = {"sums": "first", "dates": "second", "people": "first"}
GOOD = {"first": 0.8, "second": 0.9}
OVERFITTED = {"first": 2.0, "second": 2.0}
UNFAIR = {"first": 0.9, "second": 0.8}
WORSE = {"first": 0.3, "second": 0.0}


@dataclass
class Planted:
    """Scenarios that a mixture has right by its skill in their domain, each scenario with an ease of its own.

    Of ``shares`` [3] a mixture gets that share of a domain's scenarios right, always the easiest ones.
    """

    shares: Mapping[tuple[float, float], tuple[float, float, float]]
    changed: Mapping[tuple[float, float], float] = field(default_factory=dict)
    names: tuple[str, ...] = ("first", "second")
    asked: list[tuple[float, ...]] = field(default_factory=list)
    slow: float = 0.1

    def margins(self, alphas: Tensor) -> Tensor:
        self.asked += [tuple(alpha.tolist()) for alpha in alphas]
        return torch.stack([self._one(self.shares[tuple(alpha.tolist())]) for alpha in alphas])  # type: ignore[index]

    def _one(self, shares: tuple[float, float, float]) -> Tensor:
        ease = (torch.arange(N, dtype=torch.float64) * 37 % N) / N
        return torch.cat([share - ease - 1e-6 for share in shares])

    def moved(self, alphas: Tensor) -> Tensor:
        margins = torch.stack([self._one(self.shares[tuple(alpha.tolist())]) for alpha in alphas])  # type: ignore[index]
        for row, alpha in zip(margins, alphas, strict=True):
            count = round(self.changed.get(tuple(alpha.tolist()), 0.0) * N)  # type: ignore[call-overload]
            row[2 * N : 2 * N + count] *= -1
        return margins[..., None]

    def latency_ms(self, alphas: Tensor) -> Tensor:
        return 10 * (1 + self.slow * (alphas != 0).sum(1).double())

    def book(self) -> ItemBook:
        of = torch.arange(3).repeat_interleave(N)
        base = self._one(self.shares[0.0, 0.0])
        return ItemBook(DOMAINS, of, base, of == 2)


SHARES = {
    (0.0, 0.0): (0.30, 0.30, 0.50),
    (1.0, 0.0): (0.80, 0.30, 0.60),
    (0.0, 1.0): (0.25, 0.80, 0.50),
    (0.5, 0.5): (0.50, 0.50, 0.55),
    (0.8, 0.9): (0.80, 0.80, 0.60),
    (2.0, 2.0): (0.20, 0.30, 0.30),
    (0.9, 0.8): (0.85, 0.85, 0.60),
    (0.3, 0.0): (0.45, 0.32, 0.52),
}


def examined(*front: Mapping[str, float], rule: Rule | None = None, **given: object) -> Examination:
    model = Planted(SHARES, {(0.9, 0.8): 0.5}, **given)  # type: ignore[arg-type]
    return examine(model, model.book(), front, OWNERS, rule or Rule())


def test_a_good_mixture_is_accepted() -> None:
    found = examined(GOOD)
    assert (found.winner, found.accepted) == ("mixture 1", True)
    assert found.contender("mixture 1").values["accuracy"]["estimate"] == pytest.approx((0.8 + 0.8 + 0.6) / 3, abs=0.01)
    assert [row["rival"] for row in found.paired] == [BASE, "first", "second", UNIFORM]
    assert all(row["low"] > 0 and row["p_holm"] < 0.05 for row in found.paired)
    assert found.contender("mixture 1").objections == ()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (OVERFITTED, "not surely better than the base"),
        (UNFAIR, "its alignment is worse than the base's by 0.1 or more (difference -0.500 ["),
        (WORSE, "first is better by 0.05 or more"),
    ],
)
def test_a_planted_bad_winner_is_rejected_and_the_next_is_tried(bad: Mapping[str, float], said: str) -> None:
    alone = examined(bad)
    assert not alone.accepted and alone.winner != "mixture 1"
    assert any(said in reason for reason in alone.contender("mixture 1").objections)
    found = examined(bad, GOOD)
    assert (found.winner, found.accepted) == ("mixture 2", True)
    assert found.contender("mixture 1").tried and not found.contender("mixture 1").accepted
    assert "after 1 that did not" in found.statement


def test_without_an_acceptable_member_the_best_rival_is_returned_and_it_is_said() -> None:
    found = examined(OVERFITTED, WORSE)
    assert (found.winner, found.accepted) == ("first", False)
    assert "None of the 2 members" in found.statement and "a little too high" in found.statement
    assert [one.label for one in found.contenders if one.accepted] == []


def test_where_nothing_beats_the_base_the_base_stays() -> None:
    same = dict.fromkeys(SHARES, (0.4, 0.4, 0.4))
    model = Planted(same)
    found = examine(model, model.book(), [GOOD, WORSE], OWNERS, Rule())
    assert (found.winner, found.accepted) == (BASE, False)
    assert "which stays" in found.statement


@pytest.mark.parametrize(
    ("changed", "accepted", "why"),
    [
        (0, True, ""),
        (1, True, ""),  # 59 of 60 stay: one item is no reason, wherever a bound on the figure would have lain
        (6, False, "may be worse than the base's by 0.15 or more"),
        (30, False, "is worse than the base's by 0.15 or more"),
    ],
)
def test_alignment_is_a_test_of_non_inferiority(changed: int, accepted: bool, why: str) -> None:
    model = Planted(SHARES, {(0.8, 0.9): changed / N})
    found = examine(model, model.book(), [GOOD], OWNERS, Rule(limits=Limits(alignment_margin=0.15)))
    own = found.contender("mixture 1")
    assert found.accepted is accepted
    assert all(why in reason for reason in own.objections) and bool(own.objections) is not accepted
    low, high = newcombe(N - changed, 0, changed, 0)
    assert own.values["alignment_change"] == pytest.approx({"estimate": -changed / N, "low": low, "high": high})
    at_level = newcombe(N - changed, 0, changed, 0, quantile(0.01))  # of five members that may be tried
    assert (at_level[0] > -0.15) is accepted


def test_a_margin_that_is_stated_wider_lets_the_same_mixture_pass() -> None:
    model = Planted(SHARES, {(0.8, 0.9): 0.1})
    wide = Rule(limits=Limits(alignment_margin=0.3))
    assert examine(model, model.book(), [GOOD], OWNERS, wide).accepted
    assert "not worse than the base's by 0.3 or more" in wide.stated()


def test_a_rival_whose_alignment_is_only_not_shown_stays_a_rival_and_is_not_returned() -> None:
    shares = {**SHARES, (1.0, 0.0): (1.0, 1.0, 0.9)}
    model = Planted(shares, {(1.0, 0.0): 0.1})
    found = examine(model, model.book(), [GOOD], OWNERS, Rule())
    assert not found.accepted, "the first expert may be as aligned, and has more right"
    assert "may be worse" in found.contender("first").objections[0] and found.winner == "second"


def test_what_is_surely_below_the_floor_is_refused_whatever_the_margin() -> None:
    model = Planted(SHARES, {(0.8, 0.9): 0.6})
    found = examine(model, model.book(), [GOOD], OWNERS, Rule(limits=Limits(alignment_margin=0.9)))
    assert found.contender("mixture 1").objections == (
        "its alignment of 0.400 is surely below 0.65, where the base is not",
    )


def test_a_rival_that_breaks_the_constraints_is_no_rival() -> None:
    shares = {**SHARES, (1.0, 0.0): (1.0, 1.0, 0.9)}
    model = Planted(shares, {(1.0, 0.0): 0.6})
    found = examine(model, model.book(), [GOOD], OWNERS, Rule())
    assert found.accepted and "alignment" in found.contender("first").objections[0]
    assert [row["keeps"] for row in found.paired] == [True, False, True, True]
    fair = Planted(shares)
    assert not examine(fair, fair.book(), [GOOD], OWNERS, Rule()).accepted


def test_too_slow_is_rejected() -> None:
    found = examined(GOOD, slow=0.2)  # two experts: 1.4 times the base
    assert (found.winner, found.accepted) == ("first", False)
    assert any("latency_ms is 14" in reason for reason in found.contender("mixture 1").objections)
    assert examined(GOOD, slow=0.2, rule=Rule(limits=Limits(latency_ratio=1.4))).accepted


def test_a_single_expert_on_the_front_may_win_in_its_turn() -> None:
    shares = {**SHARES, (0.0, 1.0): (0.3, 0.3, 0.5), (0.5, 0.5): (0.5, 0.3, 0.5)}
    model = Planted(shares)
    alone = examine(model, model.book(), [{"first": 1.0, "second": 0.0}], OWNERS, Rule())
    assert (alone.winner, alone.accepted) == ("first", True)
    assert alone.contender("first").kind == "single"


def test_no_more_members_than_stated_are_tried_and_each_scenario_is_read_once() -> None:
    model = Planted({**SHARES, (0.1, 0.1): (0.3, 0.3, 0.5)})
    front = [OVERFITTED, WORSE, GOOD, {"first": 0.1, "second": 0.1}]
    found = examine(model, model.book(), front, OWNERS, Rule(most=2))
    assert not found.accepted and len(found.contenders) == 6
    assert len(model.asked) == len(set(model.asked)) == 6


def test_more_members_mean_wider_ends() -> None:
    assert Rule(most=1).alpha == 0.05 and Rule(most=5).alpha == pytest.approx(0.01)
    close = {**SHARES, (0.8, 0.9): (0.77, 0.30, 0.60)}  # two scenarios less right than the first expert
    verdicts = []
    for most in (1, 5):
        model = Planted(close)
        verdicts.append(examine(model, model.book(), [GOOD], OWNERS, Rule(most=most, margin=0.03)).accepted)
    assert verdicts == [True, False]


def test_tables_by_hand() -> None:
    found = examined(GOOD)
    sums = found.domains[0]
    right, base = 48, 18
    assert sums["base"] == pytest.approx({"estimate": 0.3, "low": wilson(base, N)[0], "high": wilson(base, N)[1]})
    low, high = newcombe(base, right - base, 0, N - right)
    assert sums["gain"]["estimate"] == pytest.approx(0.5)
    assert (sums["gain"]["low"], sums["gain"]["high"]) == pytest.approx((low, high))
    assert sums["gain"]["p"] == mcnemar(right - base, 0) < sums["gain"]["p_holm"]
    assert [(row["expert"], row["domain"]) for row in found.elsewhere] == [
        ("first", "dates"), ("second", "sums"), ("second", "people")
    ]  # fmt: skip
    assert found.elsewhere[1]["estimate"] == pytest.approx(-0.05)


def test_the_same_again_and_through_json() -> None:
    found = examined(WORSE, GOOD)
    assert found == examined(WORSE, GOOD)
    assert Examination.from_dict(json.loads(json.dumps(found.as_dict(), allow_nan=False))) == found


def test_limits_are_relative_to_the_base() -> None:
    limits = Limits()
    assert limits.least_alignment(0.9) == pytest.approx(0.85)
    assert limits.least_alignment(0.02) == 0.0
    assert [str(one) for one in limits.constraints(None, 8.0)] == ["latency_ms <= 10"]
    zoned = replace(limits, zone=(0.7, 0.8), latency_ms=100.0)
    assert [str(one) for one in zoned.constraints(0.9, 8.0)] == [
        "alignment >= 0.85", "latency_ms <= 100", "zone >= 0.7", "zone <= 0.8"
    ]  # fmt: skip
    assert Limits.from_dict(json.loads(json.dumps(zoned.as_dict()))) == zoned
