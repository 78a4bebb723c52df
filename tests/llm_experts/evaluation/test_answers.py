"""Answers and likelihoods: those of the library, whatever is asked together, kept over a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from llm_experts.data.encoding import answer_ids, prompt_ids
from llm_experts.data.example import Example, Message
from llm_experts.evaluation.answered import answered
from llm_experts.evaluation.answers import Asking, answer, bare, begins_with_space
from llm_experts.evaluation.candidate import Candidate
from llm_experts.evaluation.error import EvaluationError
from llm_experts.evaluation.likelihood import likelihoods
from llm_experts.evaluation.registry import SCORES
from llm_experts.evaluation.store import AnswerStore, Told
from llm_experts.families.family import Verdict
from llm_experts.runtime.composition import Composition
from llm_experts.runtime.generator import Generator
from llm_experts.runtime.resident import ResidentBase
from tests.llm_experts.runtime.generation_fixtures import by_library, dense
from tests.llm_experts.runtime.resident_fixtures import BASE, peft_adapter, saved

EXAMPLES = [Example(str(k), f"Question {k}: is it {word}?", "yes") for k, word in enumerate(["good", "female", "23"])]
BARE = Candidate("base")


def resident(*kinds: str) -> ResidentBase:
    on = ResidentBase(BASE, slots=max(1, len(kinds)))
    for seed, kind in enumerate(kinds):
        on.known(kind, saved(peft_adapter(kind, seed)))
    return on


def test_only_what_is_generated_is_judged() -> None:
    """The answer is the library's continuation of the prompt, without the prompt."""
    tokenizer: Any = BASE.tokenizer
    found = answer(resident(), BARE, EXAMPLES, Asking(max_new_tokens=6))
    for example, (told,) in zip(EXAMPLES, found, strict=True):
        expected = tokenizer.decode(by_library(BASE.model, prompt_ids(example, BASE), 6))
        ends = {BASE.tokenizer.eos_token} & set(expected)
        assert not ends and told.text in (expected, expected[1:]) and told.finish == "length"


def test_the_space_before_a_learnt_answer_is_no_part_of_it() -> None:
    """After a text that does not end in white space an answer is learnt with a space ahead; it is left out once."""
    assert begins_with_space(EXAMPLES[0], BASE, "auto")
    assert not begins_with_space(Example("code", "def f():\n", "    return 1"), BASE, "auto")
    for text, without in {" yes": "yes", "yes": "yes", "  yes": " yes", "": ""}.items():
        assert bare(Told(text, "stop"), True).text == without and bare(Told(text, "stop"), False).text == text


def test_a_composition_answers_as_dense_weights_do() -> None:
    on = resident("lora", "ia3")
    parts = [(saved(peft_adapter("lora", 0)), 0.5), (saved(peft_adapter("ia3", 1)), 1.0)]
    both = Candidate("both", Composition.of({"lora": 0.5, "ia3": 1.0}), "x")
    (told,) = answer(on, both, EXAMPLES[:1], Asking(max_new_tokens=5))[0]
    tokenizer: Any = BASE.tokenizer
    expected = tokenizer.decode(by_library(dense(BASE, parts), prompt_ids(EXAMPLES[0], BASE), 5))
    assert told.text in (expected, expected[1:])


def test_drawn_answers_do_not_depend_on_what_else_is_asked() -> None:
    how = Asking(max_new_tokens=5, samples=3, temperature=3.0)
    together = answer(resident(), BARE, EXAMPLES, how)
    alone = answer(resident(), BARE, EXAMPLES[1:2], how)
    assert together[1] == alone[0] and len({told.text for told in alone[0]}) > 1
    other = answer(resident(), BARE, EXAMPLES[1:2], Asking(max_new_tokens=5, samples=3, temperature=3.0, seed=1))
    assert other != alone


def test_several_greedy_answers_are_refused() -> None:
    with pytest.raises(EvaluationError, match="3 times the same one"):
        Asking(samples=3, temperature=0)


def test_answers_that_are_kept_are_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, how = tmp_path / "answers.jsonl", Asking(max_new_tokens=4)
    first = answer(resident(), BARE, EXAMPLES[:2], how, keep=kept)
    with kept.open("a", encoding="utf-8") as stream:
        stream.write('{"key": "cut')  # a kill in the middle of a line
    asked: list[str] = []
    plain = Generator.add
    monkeypatch.setattr(Generator, "add", lambda self, g: (asked.append(g.id), plain(self, g))[1])
    again = answer(resident(), BARE, EXAMPLES, how, keep=kept)
    assert again[:2] == first and asked == ["2/0"]
    assert len(AnswerStore(kept)) == 3
    asked.clear()
    answer(resident("lora"), Candidate("l", Composition.of({"lora": 1.0}), "other"), EXAMPLES, how, keep=kept)
    assert len(asked) == 3  # another model: none of its answers is there
    assert all(json.loads(line) for line in kept.read_text().splitlines() if "cut" not in line)


def test_a_prompt_without_room_is_counted_not_dropped() -> None:
    long = Example("long", "good " * 3000, "yes")
    found = answer(resident(), BARE, [long, EXAMPLES[0]], Asking(max_new_tokens=2))
    assert found[0] == (Told("", "unread"),) and found[1][0].finish == "length"


@torch.no_grad()
def by_hand(model: Any, context: list[int], said: list[int]) -> float:
    ids = torch.tensor([context + said])
    logs = model(input_ids=ids).logits[0].float().log_softmax(-1)
    return sum(float(logs[len(context) + k - 1, token]) for k, token in enumerate(said))


@pytest.mark.parametrize("kind", ["lora", "svf", "soft_prompt", "prefix"])
def test_likelihoods_are_those_of_the_model_with_its_adapter(kind: str) -> None:
    model = peft_adapter(kind, 0)
    pairs = [([5, 9, 31], [7, 80]), ([11], [42, 3, 9, 60, 61]), ([5, 9, 31, 7, 8, 9, 10], [2])]
    found = likelihoods(resident(kind), Composition.of({kind: 1.0}), pairs)
    for (context, said), likely in zip(pairs, found, strict=True):
        ids = torch.tensor([context + said])
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0].float()
        logs = logits[-ids.shape[1] :].log_softmax(-1)  # a soft prompt's own come first
        places = [len(context) + k - 1 for k in range(len(said))]
        expected = float(sum(logs[p, t] for p, t in zip(places, said, strict=True)))
        assert likely.log_prob == pytest.approx(expected, abs=1e-4)
        assert likely.tokens == len(said)
        assert likely.greedy == all(int(logs[p].argmax()) == t for p, t in zip(places, said, strict=True))


def test_greedy_answers_are_told_as_greedy() -> None:
    said = list(by_library(BASE.model, [5, 9, 31], 4))
    (likely,) = likelihoods(resident(), Composition(), [([5, 9, 31], said)])
    assert likely.greedy and likely.log_prob == pytest.approx(by_hand(BASE.model, [5, 9, 31], said), abs=1e-4)


def test_likelihoods_without_room_are_refused() -> None:
    with pytest.raises(EvaluationError, match="do not fit into the 1024 tokens"):
        likelihoods(resident(), Composition(), [([5] * 1024, [7, 8])])
    assert likelihoods(resident(), Composition(), [([5] * 1024, [7])])[0].tokens == 1
    with pytest.raises(EvaluationError, match="at least one token each"):
        likelihoods(resident(), Composition(), [([], [7])])


def test_items_are_asked_for_what_the_scores_need_and_no_more() -> None:
    talk = Example("talk", (Message("user", "Is it good?"),), "yes")
    none = Example("none", "Say something.")
    perplexity, correct = SCORES["perplexity"], SCORES["correct"]
    read, told = answered(resident(), BARE, [*EXAMPLES, talk, none], [perplexity])
    assert not told and [item.tokens for item in read[-2:]] == [len(answer_ids(talk, BASE, "yes")), 0]
    expected = by_hand(BASE.model, prompt_ids(EXAMPLES[0], BASE), answer_ids(EXAMPLES[0], BASE, "yes"))
    assert read[0].log_prob == pytest.approx(expected, abs=1e-4)
    judged, told = answered(
        resident(), BARE, EXAMPLES, [correct], Asking(max_new_tokens=2), judge=lambda e, a: Verdict(e.id == "1")
    )
    assert [item.verdicts[0].correct for item in judged] == [False, True, False] and judged[0].tokens == 0
