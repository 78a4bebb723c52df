"""What must stay: an adapter that changes nothing keeps everything, one that was trained away from it does not."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from llm_experts.bases.base import Base
from llm_experts.bias import bbq
from llm_experts.bias.scorer import Scored
from llm_experts.data.error import DataError
from llm_experts.data.example import Message
from llm_experts.decoder.program import Adapter
from llm_experts.discovery.preserving.bias import not_stereotyped, one_of_each
from llm_experts.discovery.preserving.neutral import NEUTRAL
from llm_experts.discovery.preserving.persona import OUTSIDE, persona_scenarios
from llm_experts.discovery.preserving.preserve import BUILT_IN, FORMAT, Preserved, check_preserved, text_item
from llm_experts.discovery.preserving.tools import TOOLS, call_in, tool_scenarios, tools_of
from llm_experts.evaluation.compare import newcombe
from llm_experts.training.sequences.batch import collate
from llm_experts.training.sequences.lanes import SequenceLanes
from tests.llm_experts.conftest import make_tiny_base

BASE = make_tiny_base(layers=2, hidden=32)


def adapter(size: float, kind: str = "lora") -> Adapter:
    lanes = SequenceLanes.fresh(BASE, kind, [2], [0], 1)
    noise = torch.randn(lanes.start.shape, generator=torch.Generator().manual_seed(1))
    return lanes.adapter(0, (lanes.start + size * noise)[0])


def test_what_changes_nothing_keeps_everything() -> None:
    chosen, reading = check_preserved(BASE, adapter(0.0), ["persona", "perplexity"], items=60)
    assert chosen.preserved and chosen.difference == 0 and chosen.before == chosen.after
    right = round(60 * chosen.before)
    assert (chosen.low, chosen.high) == pytest.approx(newcombe(right, 0, 0, 60 - right))
    assert (reading.n, reading.difference, reading.low, reading.high) == (len(NEUTRAL), 0.0, 0.0, 0.0)
    assert reading.preserved and reading.before == reading.after


def test_without_names_all_that_is_built_in_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_mirror(tmp_path, monkeypatch)
    done: list[tuple[int, int]] = []
    found = check_preserved(BASE, adapter(0.0), items=8, progress=lambda *at: done.append(at))
    assert [one.name for one in found] == list(BUILT_IN) and done == [(at, 5) for at in range(1, 6)]


def unlearning() -> Adapter:
    """A step away from the neutral texts."""
    lanes = SequenceLanes.fresh(BASE, "lora", [2], [0], 1)
    theta = lanes.start.clone().requires_grad_()
    texts = [text_item(BASE, row, sentence) for row, sentence in enumerate(NEUTRAL)]
    with torch.enable_grad():
        loss = lanes.token_logprobs(theta, collate([texts], BASE.device)).mean()
        (slope,) = torch.autograd.grad(loss, theta)
    return lanes.adapter(0, (theta - 2 * slope / slope.norm()).detach()[0])


def test_what_reads_worse_is_not_preserved() -> None:
    (reading,) = check_preserved(BASE, unlearning(), ["perplexity"])
    assert reading.difference < reading.high < -reading.margin and not reading.preserved
    assert reading.after == pytest.approx(reading.before + reading.difference)


def test_too_few_items_show_nothing() -> None:
    few, many = (check_preserved(BASE, adapter(0.0), ["persona"], items=n)[0] for n in (12, 60))
    assert few.difference == many.difference == 0
    assert not few.preserved and many.preserved


def test_a_family_is_examined_on_items_of_its_own() -> None:
    (found,) = check_preserved(BASE, adapter(0.5), ["classification@0.2"], items=30, skip=5)
    assert (found.name, found.kind, found.n) == ("classification@0.2", "choice", 30)
    assert found.low <= found.difference <= found.high
    with pytest.raises(DataError, match="family"):
        check_preserved(BASE, adapter(0.0), ["no-such-family"])


def test_calls_offer_one_right_answer_and_three_wrong_ones() -> None:
    every = tool_scenarios(60, 3)
    assert {json.loads(one.answers[0])["name"] for one in every} == set(TOOLS)
    for one in every:
        tools = tools_of(one.example)
        right, other, changed, broken = one.answers
        assert call_in(right, tools) == json.loads(right)
        assert call_in(other, tools) is None or set(tools_of(one.example)) <= {"find_route", "add"}
        assert call_in(changed, tools) is not None and changed != right
        assert call_in(broken, tools) is None
    assert every == tool_scenarios(80, 3)[:60]


@pytest.mark.parametrize(
    "text",
    ["", "add(1, 2)", '{"name": "add"}', '{"name": "add", "arguments": {"a": 1}}', '["add"]', "null",
     '{"name": "mul", "arguments": {"a": 1, "b": 2}}', '{"name": ["add"], "arguments": {"a": 1, "b": 2}}',
     'Sure: {"name": "add", "arguments": {"a": 1, "b": 2}}', '{"name": "add", "arguments": [1, 2]}'],
)  # fmt: skip
def test_what_is_no_call(text: str) -> None:
    assert call_in(text, {"add": ["a", "b"]}) is None


def test_a_call_may_have_spaces_around_it() -> None:
    call = '{"name": "add", "arguments": {"b": 2, "a": 1}}'
    assert call_in(f" {call}\n", {"add": ["a", "b"]}) == json.loads(call)


def test_personas_answer_in_their_part() -> None:
    every = persona_scenarios(BASE, 40, 1)
    for one in every:
        assert isinstance(one.example.prompt, str) and one.answers[-1] == OUTSIDE and len(set(one.answers)) == 4
        told = one.answers[0].removesuffix(".").split()[-1]
        assert told in one.example.prompt
        assert not any(other.removesuffix(".").split()[-1] in one.example.prompt for other in one.answers[1:3])
    BASE.tokenizer.chat_template = "{{ messages[0]['content'] }}"
    try:
        (chat,) = persona_scenarios(BASE, 1, 1)
    finally:
        BASE.tokenizer.chat_template = None
    assert isinstance(chat.example.prompt, tuple) and chat.example.prompt[0].role == "system"
    assert isinstance(chat.example.prompt[1], Message) and chat.answers == every[0].answers


def test_the_same_again_and_through_json() -> None:
    (found,) = check_preserved(BASE, adapter(0.4), [FORMAT], items=2)
    assert (found,) == check_preserved(BASE, adapter(0.4), [FORMAT], items=2)
    assert Preserved.from_dict(json.loads(json.dumps(found.as_dict(), allow_nan=False))) == found


def test_a_base_is_left_as_it_is() -> None:
    def weights(base: Base) -> list[float]:
        return [float(weight.sum()) for weight in base.model.parameters()]

    before = weights(BASE)
    check_preserved(BASE, adapter(1.0, "lora_fa"), ["tools"], items=12)
    assert weights(BASE) == before


def broken_mirror(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror in which the first file of the bias set is not the published one."""
    (file, *_) = bbq.SOURCE.file
    (folder / file.mirror).parent.mkdir(parents=True)
    (folder / file.mirror).write_bytes(b"something else")
    monkeypatch.setenv("FAIRMOE_DATA_MIRROR", str(folder))
    monkeypatch.setenv("FAIRMOE_CACHE", str(folder / "cache"))


def test_a_bias_set_that_cannot_be_had_is_not_measured_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_mirror(tmp_path, monkeypatch)
    bias, reading = check_preserved(BASE, adapter(0.0), ["bias", "perplexity"], items=8)
    assert (bias.n, bias.preserved) == (0, None) and "Age.jsonl" in bias.reason and reading.preserved
    told = json.loads(json.dumps(bias.as_dict(), allow_nan=False))
    assert told["before"] is told["after"] is told["low"] is None


class Likes:
    """A scorer to which one answer to a question is likelier than without the question, and the others are not."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def token_log_probs(self, texts: Sequence[str], start: Sequence[int] | None = None) -> list[Scored]:
        found = []
        for text, at in zip(texts, start or [0] * len(texts), strict=True):
            p = 0.5 if "Question:" in text and text[at:].strip() == self.answer else 0.2
            found.append(Scored(torch.tensor([math.log(p)], dtype=torch.float64), ((at, len(text)),)))
        return found


def question(quartet: int, negative: bool, ambiguous: bool = True) -> bbq.Question:
    """ "a" is of the stereotyped group, "b" of the other."""
    return bbq.Question(
        "Age", f"t{quartet // 2}", quartet, "c", "bad?" if negative else "good?", ("a", "b", "?"),
        2, 2, 0, ambiguous, negative,
    )  # fmt: skip


def test_of_every_template_one_undecided_question_is_asked_of_either_polarity_in_turn() -> None:
    ways = [(negative, ambiguous) for negative in (True, False) for ambiguous in (True, False)]
    every = [question(k, negative, ambiguous) for k in range(4) for negative, ambiguous in ways]
    asked = one_of_each(every)
    assert [(one.quartet, one.negative, one.ambiguous) for one in asked] == [
        (0, True, True), (1, False, True), (2, True, True), (3, False, True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("likelier", "expected"),
    [
        ("a", [False, True, False, True]),  # always the same group: the stereotype of the bad trait alone
        ("b", [True, False, True, False]),
        ("?", [True, True, True, True]),  # it cannot be told, which is right
        ("", [False, False, False, False]),  # all alike: the stereotype is as likely as anything
    ],
)
def test_answers_by_stereotype_by_hand(likelier: str, expected: list[bool]) -> None:
    asked = [question(k, k % 2 == 0) for k in range(4)]
    assert not_stereotyped(Likes(likelier), asked).tolist() == expected


@pytest.mark.slow
@pytest.mark.data
def test_a_bias_set_before_and_after() -> None:
    same, other = (check_preserved(BASE, adapter(size), ["bias"], items=60)[0] for size in (0.0, 0.6))
    assert (same.kind, same.n, same.difference, same.before) == ("bias", 60, 0.0, other.before)
    right = round(60 * same.before)
    assert (same.low, same.high) == pytest.approx(newcombe(right, 0, 0, 60 - right)) and same.preserved
    assert other.after == pytest.approx(other.before + other.difference) and other.low < 0 < other.high


def test_a_base_that_can_nothing_has_nothing_to_lose() -> None:
    (found,) = check_preserved(BASE, adapter(0.4), [FORMAT], items=4)
    assert (found.before, found.after, found.difference) == (0, 0, 0) and found.preserved is None
