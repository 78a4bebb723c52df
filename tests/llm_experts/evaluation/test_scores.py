"""Scores: answers worked by hand, and what sklearn, sacrebleu and itertools find."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sklearn.metrics import accuracy_score, f1_score

from llm_experts.data.example import Example
from llm_experts.evaluation.error import EvaluationError
from llm_experts.evaluation.registry import SCORES, score_named
from llm_experts.evaluation.score import Answered, Score
from llm_experts.evaluation.scores.pass_at_k import pass_at_k
from llm_experts.evaluation.texts import json_in, normalised
from llm_experts.families.family import Verdict
from llm_experts.families.registry import FAMILIES
from llm_experts.families.shared.answers import same_json


def answered(pairs: Sequence[tuple[str, str]]) -> list[Answered]:
    """Items of (reference, answer) pairs."""
    return [Answered(Example(str(k), "?", right), (said,)) for k, (right, said) in enumerate(pairs)]


def each(score: Score, pairs: Sequence[tuple[str, str]]) -> list[float]:
    asked = [Example(str(k), "?", right) for k, (right, _) in enumerate(pairs)]
    found: list[float] = score.of(asked, [said for _, said in pairs]).tolist()
    return found


def test_every_file_is_a_score_of_its_name() -> None:
    assert all(name in ("pass_at_k", score.id) for name, score in SCORES.items())
    assert score_named("pass@7").label == "pass@7"
    with pytest.raises(EvaluationError, match="no score 'rouge'"):
        score_named("rouge")


def test_exact_match_forgives_form_alone() -> None:
    pairs = [("42", " 42. "), ("Paris", '"paris"'), ("a  b", "A\nb!"), ("3.5", "35"), ("the cat", "cat"), ("ﬁt", "fit")]
    assert each(SCORES["exact_match"], pairs) == [1, 1, 1, 0, 0, 1]
    assert normalised("?!") == "?!" and normalised("''") == "''"


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ('{"a": 1}', True), ('```json\n{"a": 1}\n```', True), ("  [1, 2]\n", True), ('"x"', True),
        ('{"a": NaN}', False), ('{"a": 1, "a": 2}', False), ("{'a': 1}", False), ('{"a": 1} done', False), ("", False),
        ("[" * 100_000, False),
    ],
)  # fmt: skip
def test_json_is_valid_as_a_whole(text: str, valid: bool) -> None:
    assert each(SCORES["json_valid"], [("", text)]) == [float(valid)]


def test_json_is_equal_as_data() -> None:
    reference = '{"n": 1, "list": [true, null], "text": "é"}'
    said = [
        '{"text": "\\u00e9", "list": [true, null], "n": 1.0}', '{"n": true, "list": [true, null], "text": "é"}',
        '{"n": 1, "list": [null, true], "text": "é"}', '{"n": 1, "list": [true, null]}', "no",
    ]  # fmt: skip
    assert each(SCORES["json_equal"], [(reference, text) for text in said]) == [1, 0, 0, 0, 0]
    assert not same_json([0], [False]) and not same_json(None, 0) and same_json(json_in("[]"), [])
    assert "no JSON" in SCORES["json_equal"].refuses(answered([("plain", "{}")])[0])


@pytest.mark.parametrize(("n", "c", "k"), [(1, 0, 1), (1, 1, 1), (5, 2, 3), (6, 1, 6), (7, 3, 2), (8, 0, 4)])
def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_one(n: int, c: int, k: int) -> None:
    drawn = [any(index < c for index in some) for some in combinations(range(n), k)]
    assert pass_at_k(n, c, k) == pytest.approx(sum(drawn) / len(drawn), abs=1e-12)


def test_pass_at_k_of_many_answers_does_not_overflow() -> None:
    assert pass_at_k(2000, 3, 100) == pytest.approx(1 - math.comb(1997, 100) / math.comb(2000, 100), rel=1e-9)
    with pytest.raises(ValueError, match="1 <= k <= n"):
        pass_at_k(3, 1, 4)


def test_pass_at_k_counts_the_checkers_verdicts() -> None:
    verdicts = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    items = [
        Answered(Example(str(k), "?"), ("x",) * 4, tuple(Verdict(bool(v)) for v in some))
        for k, some in enumerate(verdicts)
    ]
    # pass@2 with 4 answers: 1 - C(3,2)/C(4,2) = 1/2, 1 - C(2,2)/6 = 5/6, 0
    assert score_named("pass@2").value(items) == pytest.approx((1 / 2 + 5 / 6 + 0) / 3)
    assert score_named("pass@1").value(items) == pytest.approx((1 / 4 + 2 / 4) / 3)
    assert "has 4 answers" in score_named("pass@5").refuses(items[0])


def test_an_answer_names_the_longest_label_that_it_begins_with() -> None:
    pairs = [("not guilty", "Not guilty, I think"), ("guilty", "guilty."), ("not guilty", "guilt"), ("guilty", "not")]
    assert each(SCORES["accuracy"], pairs) == [1, 1, 0, 0]


@pytest.mark.parametrize(
    "answer", ["The answer is yes.", "It is yes", "It is not yes", "yes or no", "It is yes or no", "ＹＥＳ"]
)
def test_accuracy_reads_an_answer_as_the_checker_of_its_family_does(answer: str) -> None:
    example = Example("0", "?", "yes", facts={"labels": ["yes", "no"], "label": "yes"})
    folded = unicodedata.normalize("NFKC", answer)
    checked = FAMILIES["classification"].check(example, folded).correct
    assert SCORES["accuracy"].value([Answered(example, (answer,))]) == checked


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=40))
def test_accuracy_and_f1_are_those_of_sklearn(pairs: list[tuple[str, str]]) -> None:
    right, said = (list(some) for some in zip(*pairs, strict=True))
    labels = sorted(set(right))  # what names no label of the set is no label
    theirs = f1_score(right, said, labels=labels, average="macro", zero_division=np.nan)
    assert SCORES["f1"].value(answered(pairs)) == pytest.approx(theirs)
    assert SCORES["accuracy"].value(answered(pairs)) == pytest.approx(accuracy_score(right, said))


WORDS = st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "x,", "y."]), max_size=9).map(" ".join)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(WORDS.filter(bool), WORDS), min_size=1, max_size=6))
def test_bleu_and_chrf_are_those_of_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    right, said = (list(some) for some in zip(*pairs, strict=True))
    items = answered(pairs)
    assert SCORES["bleu"].value(items) == pytest.approx(BLEU().corpus_score(said, [right]).score, abs=1e-9)
    assert SCORES["chrf"].value(items) == pytest.approx(CHRF().corpus_score(said, [right]).score, abs=1e-9)


def test_signatures_are_recorded() -> None:
    assert SCORES["bleu"].signature().startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert SCORES["chrf"].signature().startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")


def test_perplexity_weighs_tokens_not_items() -> None:
    items = [
        Answered(Example("0", "?", "a"), log_prob=-1 * math.log(2), tokens=1),
        Answered(Example("1", "?", "b"), log_prob=-9 * math.log(8), tokens=9),
    ]
    assert SCORES["perplexity"].value(items) == pytest.approx(2 ** ((1 + 9 * 3) / 10))
