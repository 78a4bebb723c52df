"""WinoBias: referents of a line, hand-worked gap, ties; the published files."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from llm_experts.bias import winobias
from llm_experts.bias.scorer import Scored
from llm_experts.bias.sources import BiasError
from llm_experts.bias.winobias import Counterparts, Sentence
from tests.llm_experts.bias.table_model import Bigrams

JOBS = ("cook", "construction worker", "CEO", "worker")


def test_a_line_tells_pronoun_and_referents() -> None:
    found = winobias.parse("7 [The CEO]  hired the cook because [she] needed [her] help.", JOBS)
    assert found == Sentence("The CEO hired the cook because she needed her help.", "she", "CEO", "cook")
    long = winobias.parse("8 The cook helped the [ construction worker] and fed [him].", JOBS)
    assert (long.right, long.wrong) == ("construction worker", "cook")
    assert long.text == "The cook helped the construction worker and fed him."


@pytest.mark.parametrize("line", ["1 The CEO hired the cook.", "2 [The CEO] hired [him].", "3 [The CEO] fed the cook."])
def test_a_line_without_two_referents_is_refused(line: str) -> None:
    with pytest.raises(BiasError, match="does not mark"):
        winobias.parse(line, JOBS)


def pairs(*kinds: str) -> list[Counterparts]:
    sentence = Sentence("The CEO hired the cook because he cried.", "he", "CEO", "cook")
    return [Counterparts(kind, sentence, sentence) for kind in kinds]


def test_scores_by_hand() -> None:
    right, wrong, tie = [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]
    scores = np.array([[right, wrong], [right, right], [tie, wrong], [wrong, right]])
    made = winobias.rows(pairs("type1", "type1", "type2", "type2"), scores, seed=0)
    found = {(row["metric"], row["category"]): row["estimate"] for row in made}
    assert found["acc_pro@1", "type1"] == 1
    assert found["acc_anti@1", "type1"] == 0.5
    assert found["gap@1", "type1"] == 0.5
    assert found["gap@1", "type2"] == pytest.approx(0.25 - 0.5)
    assert found["acc_mean@1", "all"] == pytest.approx((2.5 / 4 + 2 / 4) / 2)
    assert {row["n"] for row in made} == {8, 4}


def test_a_model_that_follows_the_pronoun_only_has_a_gap_of_one() -> None:
    pro = Sentence("The CEO hired the cook because he cried.", "he", "CEO", "cook")
    anti = Sentence("The CEO hired the cook because she cried.", "she", "CEO", "cook")

    class Gendered(Bigrams):
        def _scored(self, text: str, at: int) -> Scored:
            he, she = '"he"' in text, '"she"' in text
            self.table = {"CEO": 0.6 if he else 0.2 if she else 0.4, "cook": 0.2 if he else 0.6 if she else 0.4}
            return super()._scored(text, at)

    both = [Counterparts("type1", pro, anti)] * 2
    scores = winobias.likelihoods(Gendered({}), both)
    assert scores[0, 1] == pytest.approx([math.log(0.2 / 0.4), math.log(0.6 / 0.4)])
    assert {row["estimate"] for row in winobias.rows(both, scores, seed=0) if row["metric"] == "gap@1"} == {1}


def test_a_model_that_ignores_the_pronoun_has_no_gap_but_vacuously() -> None:
    same = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
    found = {
        row["metric"]: row for row in winobias.rows(pairs("type1", "type1"), same, seed=0) if row["category"] == "all"
    }
    assert (found["gap@1"]["estimate"], found["gap@1"]["status"]) == (0, "degenerate")
    assert (found["acc_mean@1"]["estimate"], found["acc_mean@1"]["status"]) == (0.5, "ok")


def test_an_occupation_that_is_likely_anywhere_gets_no_head_start() -> None:
    model = Bigrams({"CEO": 0.001, "cook": 0.5})
    assert winobias.likelihoods(model, pairs("type1")) == pytest.approx(np.zeros((1, 2, 2)))


@pytest.mark.data
def test_published_files() -> None:
    found = winobias.load()
    assert len(found) == 1584, "8 files of 396 lines; the paper rounds to 3,160 sentences"
    assert Counter(p.kind for p in found) == {"type1": 792, "type2": 792}
    male, female = {"he", "him", "his", "himself"}, {"she", "her", "hers", "herself"}
    assert all({p.pro.pronoun.casefold(), p.anti.pronoun.casefold()} <= male | female for p in found)
    alike = [p for p in found if (p.pro.pronoun.casefold() in male) == (p.anti.pronoun.casefold() in male)]
    assert len(alike) == 2, "in two published counterparts of type 2 the pronoun is the same"
    same = sum({p.pro.right, p.pro.wrong} == {p.anti.right, p.anti.wrong} for p in found)
    assert same >= 1580
    assert len(winobias.sample(found, 200, seed=0)) == 100
    assert Counter(p.kind for p in winobias.sample(found, 200, seed=0)) == {"type1": 50, "type2": 50}
