"""The interface of lm-evaluation-harness: windows by hand, and its own model class where it is installed."""

from __future__ import annotations

from typing import Any

import pytest

from llm_experts.evaluation.candidate import Candidate
from llm_experts.evaluation.error import EvaluationError
from llm_experts.evaluation.harness import Harness, harness_model, rolling
from llm_experts.evaluation.likelihood import likelihoods
from llm_experts.runtime.composition import Composition
from llm_experts.runtime.resident import ResidentBase
from tests.llm_experts.runtime.generation_fixtures import by_library
from tests.llm_experts.runtime.resident_fixtures import BASE, peft_adapter, saved

PAIRS = [("The savings are", " unknown."), ("Answer: ", "yes"), ("", "The applicant"), ("Is it good", " yes or no")]
TEXT = "The applicant's age is 23 years. Question: Is it yes or no? " * 3


def resident() -> ResidentBase:
    on = ResidentBase(BASE, slots=1)
    on.known("lora", saved(peft_adapter("lora", 0)))
    return on


def encode(text: str) -> list[int]:
    tokenizer: Any = BASE.tokenizer
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def test_windows_as_the_harness_describes_them() -> None:
    """Its own example: ten tokens, four read at once."""
    found = list(rolling(list(range(10)), -1, 4))
    assert found == [([-1], [0, 1, 2, 3]), ([3], [4, 5, 6, 7]), ([5, 6, 7], [8, 9])]
    assert list(rolling([], -1, 4)) == [] and list(rolling([7], -1, 4)) == [([-1], [7])]


def test_blanks_at_the_border_belong_to_the_continuation() -> None:
    harness = Harness(resident(), Candidate("base"))
    assert harness.encode_pair("Answer: ", "yes") == harness.encode_pair("Answer:", " yes")
    before, after = harness.encode_pair("Answer:", " yes")
    assert before + after == encode("Answer: yes")


def test_the_three_questions_by_our_own_functions() -> None:
    on = resident()
    lora = Composition.of({"lora": 1.0})
    harness = Harness(on, Candidate("lora", lora, "x"))
    (found,) = harness.loglikelihood(PAIRS[:1])
    (own,) = likelihoods(on, lora, [harness.encode_pair(*PAIRS[0])])
    assert found == (own.log_prob, own.greedy)
    (rolled,) = harness.loglikelihood_rolling([TEXT])
    assert rolled == pytest.approx(likelihoods(on, lora, [([BASE.tokenizer.bos_token_id], encode(TEXT))])[0].log_prob)
    (said,) = Harness(on, Candidate("base")).generate_until([("The savings are", {"until": [], "max_gen_toks": 6})])
    tokenizer: Any = BASE.tokenizer
    assert said == tokenizer.decode(by_library(BASE.model, encode("The savings are"), 6))
    (cut,) = Harness(on, Candidate("base")).generate_until(
        [("The savings are", {"until": said[2:4], "max_gen_toks": 6})]
    )
    assert cut == said[: said.index(said[2:4])]


def test_what_does_not_fit_is_cut_or_refused_as_the_harness_does() -> None:
    harness = Harness(resident(), Candidate("base"))
    long = "good " * 1500
    (found,) = harness.loglikelihood([(long, " yes")])
    context, last = harness.encode_pair(long, " yes")
    (own,) = likelihoods(resident(), Composition(), [(context[-(1025 - len(last)) :], last)])
    assert len(context) > 1025 and found[0] == pytest.approx(own.log_prob, abs=1e-4)
    with pytest.raises(EvaluationError, match="up to 1024 tokens"):
        harness.generate_until([("a", {"max_gen_toks": 1024})])


def test_answers_are_those_of_the_harness_own_class() -> None:
    """On the same model its ``HFLM`` finds the same; needs lm_eval, which no default group has."""
    pytest.importorskip("lm_eval")
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    def asked(kind: Any, *arguments: Any) -> list[Any]:
        return [Instance(kind, {}, one, index) for index, one in enumerate(arguments)]

    theirs = HFLM(pretrained=BASE.model, tokenizer=BASE.tokenizer, batch_size=2)
    ours = harness_model(Harness(ResidentBase(BASE), Candidate("base")))
    pairs = asked("loglikelihood", *PAIRS, ("good " * 1500, " yes"))
    for mine, other in zip(ours.loglikelihood(pairs), theirs.loglikelihood(pairs, disable_tqdm=True), strict=True):
        assert mine[0] == pytest.approx(other[0], abs=1e-3) and mine[1] == other[1]
    texts = asked("loglikelihood_rolling", (TEXT,), ("good female " * 700,))
    found = theirs.loglikelihood_rolling(texts, disable_tqdm=True)
    assert ours.loglikelihood_rolling(texts) == pytest.approx(found, rel=1e-5)
    told = asked("generate_until", *((text, {"until": ["?"], "max_gen_toks": 8}) for text, _ in PAIRS[:2]))
    assert ours.generate_until(told) == theirs.generate_until(told, disable_tqdm=True)
