"""Examinations: intervals with known ends, coverage, what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llm_experts.data.example import Example
from llm_experts.evaluation.error import EvaluationError
from llm_experts.evaluation.examination import examine
from llm_experts.evaluation.registry import SCORES, score_named
from llm_experts.evaluation.score import Answered
from llm_experts.families.family import Verdict
from metrics.proportions import wilson


def items(right: list[bool]) -> list[Answered]:
    return [Answered(Example(str(k), "?", "yes"), ("yes" if ok else "no",)) for k, ok in enumerate(right)]


def test_a_share_has_wilsons_interval() -> None:
    (row,) = examine(items([True] * 10 + [False] * 30), [SCORES["exact_match"]])
    assert (row.estimate, row.n, row.interval) == (0.25, 40, "wilson")
    assert (row.low, row.high) == pytest.approx(wilson(10, 40))


def test_fewer_than_thirty_items_are_refused_with_the_remedy() -> None:
    with pytest.raises(EvaluationError, match=r"has 29 items, and an examination needs 30.*Give more items"):
        examine(items([True] * 29), [SCORES["exact_match"]])


def test_a_score_that_one_item_cannot_have_is_not_estimable() -> None:
    some = items([True] * 30)
    some[7] = Answered(Example("seven", "?"), ("yes",))
    row, checked = examine(some, [SCORES["exact_match"], SCORES["correct"]])
    assert row.status == "not_estimable" and "1 of 30 items cannot have it; item 'seven'" in row.reason
    assert math.isnan(row.estimate) and "name its family" in checked.reason


def test_all_items_alike_still_leave_something_open() -> None:
    told = [Answered(Example(str(k), "?"), ("a", "b"), (Verdict(True), Verdict(True))) for k in range(40)]
    (row,) = examine(told, [score_named("pass@2")])
    assert row.estimate == 1 and row.high == 1 and row.low == pytest.approx(1 - (1 - 0.025 ** (1 / 40)))


def test_the_interval_of_pass_at_k_is_that_of_items_not_of_answers() -> None:
    """Items of which all answers are right or all wrong: ten answers say no more than one."""
    generator = np.random.default_rng(0)
    right = generator.random(60) < 0.5
    many = [Answered(Example(str(k), "?"), ("",) * 10, (Verdict(bool(ok)),) * 10) for k, ok in enumerate(right)]
    (row,) = examine(many, [score_named("pass@1")])
    low, high = wilson(float(right.sum()), 60)
    assert row.high - row.low == pytest.approx(high - low, rel=0.15)


def test_the_bootstrap_covers_what_it_should() -> None:
    """95 % intervals of perplexity of 50 items, over 200 sets: the share that holds the true value."""
    generator, hit = np.random.default_rng(1), 0
    for _ in range(200):
        nats = generator.gamma(4.0, 0.5, size=(50, 8)).sum(axis=1)  # mean 2 nats a token
        told = [Answered(Example(str(k), "?", "x"), log_prob=-float(v), tokens=8) for k, v in enumerate(nats)]
        (row,) = examine(told, [SCORES["perplexity"]], draws=400)
        hit += row.low <= math.exp(2.0) <= row.high
    assert 0.89 <= hit / 200 <= 0.985
