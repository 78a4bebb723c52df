"""Comparisons: scipy's exact test, published intervals, level and power, order of the two."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from llm_experts.data.example import Example
from llm_experts.evaluation.compare import compare, compare_all, mcnemar, newcombe
from llm_experts.evaluation.error import EvaluationError
from llm_experts.evaluation.registry import SCORES
from llm_experts.evaluation.score import Answered


def items(right: list[bool]) -> list[Answered]:
    return [Answered(Example(str(k), "?", "yes"), ("yes" if ok else "no",)) for k, ok in enumerate(right)]


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(only: int, other: int) -> None:
    expected = binomtest(only, only + other).pvalue if only + other else 1.0
    assert mcnemar(only, other) == pytest.approx(expected, rel=1e-9)


def test_newcombes_interval_is_the_published_one() -> None:
    """Newcombe (1998), table of methods: 36 both, 12 and 2 one alone."""
    assert newcombe(36, 12, 2, 0) == pytest.approx((0.0569, 0.3404), abs=5e-5)


@given(st.tuples(*[st.integers(0, 40)] * 4).filter(any))
def test_newcombes_interval_holds_the_difference_and_turns_with_it(cells: tuple[int, int, int, int]) -> None:
    both, only, other, neither = cells
    low, high = newcombe(both, only, other, neither)
    assert -1 <= low <= (only - other) / sum(cells) + 1e-12 and (only - other) / sum(cells) - 1e-12 <= high <= 1
    assert newcombe(both, other, only, neither) == pytest.approx((-high, -low), abs=1e-12)


def test_a_difference_of_shares_by_hand() -> None:
    mine = items([True] * 20 + [True] * 9 + [False] * 1 + [False] * 10)
    theirs = items([True] * 20 + [False] * 9 + [True] * 1 + [False] * 10)
    found = compare(SCORES["exact_match"], ("expert", mine), ("base", theirs))
    assert (found.difference, found.only, found.only_against, found.test) == (0.2, 9, 1, "mcnemar")
    assert found.p == pytest.approx(2 * 11 / 1024)
    assert found.low < 0.2 < found.high and found.low > 0
    back = compare(SCORES["exact_match"], ("base", theirs), ("expert", mine))
    assert (back.difference, back.p) == (-found.difference, found.p)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def test_models_that_answer_alike_do_not_differ() -> None:
    same = items([True] * 25 + [False] * 15)
    for score in ("exact_match", "chrf", "f1"):
        found = compare(SCORES[score], ("a", same), ("b", same))
        assert found.difference == 0 and found.p == 1 and found.low < 0 < found.high


def likely(nats: np.ndarray) -> list[Answered]:
    return [Answered(Example(str(k), "?", "x"), log_prob=-float(v), tokens=5) for k, v in enumerate(nats)]


def test_the_randomisation_test_keeps_its_level_and_sees_what_is_there() -> None:
    generator, reached, seen = np.random.default_rng(0), 0, 0
    for _ in range(100):
        shared = generator.gamma(4.0, 2.0, size=40)
        a, b = (shared + generator.normal(0, 0.5, size=40) for _ in range(2))
        none = compare(SCORES["perplexity"], ("a", likely(a)), ("b", likely(b)), draws=300)
        some = compare(SCORES["perplexity"], ("a", likely(a - 0.6)), ("b", likely(b)), draws=300)
        reached += none.p <= 0.05
        seen += some.p <= 0.05 and some.high < 0
    assert reached <= 12 and seen >= 95


def test_holm_runs_over_the_models_of_a_score() -> None:
    base = items([False] * 40)
    models = [("a", items([True] * 8 + [False] * 32)), ("b", items([True] * 6 + [False] * 34)), ("c", base)]
    found = compare_all([SCORES["exact_match"]], models, ("base", base))
    p = [2 / 2**8, 2 / 2**6, 1.0]
    assert [one.p for one in found] == pytest.approx(p)
    assert [one.p_holm for one in found] == pytest.approx([3 * p[0], 2 * p[1], 1.0])


def test_what_cannot_be_compared_is_said() -> None:
    with pytest.raises(EvaluationError, match="did not answer the same items"):
        compare(SCORES["exact_match"], ("a", items([True] * 30)), ("b", items([True] * 31)))
    with pytest.raises(EvaluationError, match="29 items"):
        compare(SCORES["exact_match"], ("a", items([True] * 29)), ("b", items([True] * 29)))
    found = compare(SCORES["correct"], ("a", items([True] * 30)), ("b", items([True] * 30)))
    assert found.status == "not_estimable" and math.isnan(found.p) and "name its family" in found.reason
