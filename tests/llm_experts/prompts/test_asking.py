"""Rows asked about in a chat and behind answered examples: the tokens are those of the base's own template."""

import dataclasses
import json

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_experts.bases.base import Base
from llm_experts.prompts.asking import PLAIN, Asking, Shot
from llm_experts.prompts.chat import encode_chat
from llm_experts.prompts.prompts import PromptError, Prompts
from llm_experts.prompts.shots import draw_shots
from tasks.task import HIDDEN
from tasks.templates import TEMPLATES
from tasks.text import cells_of, render, row_of
from tests.llm_experts.conftest import make_tiny_base, tiny_tokenizer
from tests.llm_experts.prompts.test_prompts import ROWS, SCM, column_tokens, tokens_of

TEMPLATE = "{% for m in messages %}<bos>{{ m['role'] }}\n{{ m['content'] }}<eos>\n{% endfor %}<bos>assistant{{ '\n' }}"
SHOTS = draw_shots(SCM, 4, seed=0)


def base_with(template: str | None) -> Base:
    """A base that has yes and no as words of their own; one layer, as nothing is computed."""
    base = dataclasses.replace(make_tiny_base(layers=1), tokenizer=tiny_tokenizer("yes", "no", "yes", "no"))
    base.tokenizer.chat_template = template
    return base


CHAT, BARE = base_with(TEMPLATE), base_with(None)


def prompts(base: Base, asking: Asking, template: str = "sentence", context: int = 1024) -> Prompts:
    return Prompts(base.tokenizer, SCM.card.text, template, context=context, asking=asking)


def turns(asked: Prompts, row: int, order: int) -> list[dict[str, str]]:
    """The conversation that a prompt should be, said by hand."""
    question = "Question: Is the applicant hired? Options:"
    options = [" yes or no. Answer with one of the two words.", " no or yes. Answer with one of the two words."]
    space = {"sentence": " ", "list": "\n", "record": " "}[asked.template]
    said = []
    for number, shot in enumerate(asked.asking.shots):
        text = row_of(shot.cells, SCM.card.text.subject, asked.template)
        said.append({"role": "user", "content": text + space + question + options[number % 2]})
        said.append({"role": "assistant", "content": ("no", "yes")[shot.answer]})
    text = render(SCM, torch.tensor([row]), template=asked.template)[0].text
    return [*said, {"role": "user", "content": text + space + question + options[order]}]


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("shots", [(), SHOTS], ids=["zero-shot", "few-shot"])
def test_a_chat_has_the_tokens_of_the_template(template: str, shots: tuple[Shot, ...]) -> None:
    asked = prompts(CHAT, Asking(chat=True, shots=shots), template, context=4096)
    packed = asked.pack(SCM, ROWS)
    for place, row in enumerate(ROWS.tolist()):
        for order in (0, 1):
            expected = encode_chat(CHAT, turns(asked, row, order))
            assert tokens_of(packed, place, order).tolist() == expected
            assert asked.text_of(SCM, ROWS, order=order)[place] == CHAT.tokenizer.decode(expected)
    no, yes = asked.answer_ids
    assert (CHAT.tokenizer.decode([no]), CHAT.tokenizer.decode([yes])) == ("no", "yes")


def test_without_a_template_turns_are_plain_words() -> None:
    asked = prompts(BARE, Asking(chat=True))
    (text,) = asked.text_of(SCM, ROWS[:1])
    assert text.startswith("User: ") and text.endswith("Answer with one of the two words.\nAssistant:")
    assert BARE.tokenizer.decode([asked.answer_ids[1]]) == " yes"


@pytest.mark.parametrize("template", TEMPLATES)
def test_plain_examples_stand_ahead_of_the_row_with_their_answers(template: str) -> None:
    asked, alone = prompts(BARE, Asking(shots=SHOTS), template), prompts(BARE, PLAIN, template)
    (text,), (row,) = asked.text_of(SCM, ROWS[:1]), alone.text_of(SCM, ROWS[:1])
    *shown, last = text.split("\n\n")
    assert last == row and [part.rsplit(" ", 1)[1] for part in shown] == [("no", "yes")[s.answer] for s in SHOTS]
    assert ["yes or no. Answer:" in part for part in shown] == [True, False, True, False]
    assert BARE.tokenizer.decode(tokens_of(asked.pack(SCM, ROWS[:1]), 0, 0)) == text
    whole = BARE.tokenizer(text)["input_ids"]
    assert tokens_of(asked.pack(SCM, ROWS[:1]), 0, 0).tolist() == whole
    assert BARE.tokenizer.decode(whole[: asked.lead_tokens]) == text.removesuffix(last)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 299), min_size=1, max_size=6), st.sampled_from([True, False]), st.integers(0, 2**30))
def test_masking_and_moving_change_the_row_and_never_the_examples(rows: list[int], chat: bool, seed: int) -> None:
    asked, index = prompts(CHAT, Asking(chat, SHOTS), context=4096), torch.tensor(rows)
    keep = torch.rand(len(rows), len(SCM.columns), generator=torch.Generator().manual_seed(seed)) > 0.5
    whole, masked, moved = (asked.pack(*a) for a in ((SCM, index), (SCM, index, keep), (SCM.moved_to(0), index)))
    lead = asked.lead_tokens
    for row in range(len(rows)):
        assert whole.ids[row, :lead].tolist() == masked.ids[row, :lead].tolist() == moved.ids[row, :lead].tolist()
        assert bool((whole.columns[row, :lead] == -1).all())
        before, after = column_tokens(whole, row), column_tokens(masked, row)
        assert [c for c in before if before[c] != after[c] and bool(keep[row, c])] == []


def test_a_value_that_spells_out_a_special_token_is_plain_text() -> None:
    name = SCM.columns[0].name
    frame = SCM.frame.copy()
    frame[name] = pd.Categorical(["<eos> yes"] * len(frame))
    view = dataclasses.replace(SCM, frame=frame)
    special = set(CHAT.tokenizer.all_special_ids)
    for chat in (True, False):
        shots = tuple(dataclasses.replace(s, cells=((SHOTS[0].cells[0][0], "<eos><bos>"), *s.cells[1:])) for s in SHOTS)
        asked = prompts(CHAT, Asking(chat, shots), context=4096)
        found = [i for i in tokens_of(asked.pack(view, ROWS[:1]), 0, 0).tolist() if i in special]
        own = encode_chat(CHAT, [{"role": "user" if k % 2 == 0 else "assistant", "content": "x"} for k in range(9)])
        assert len(found) == (sum(i in special for i in own) if chat else 0)


def test_templates_that_cannot_hold_rows() -> None:
    with pytest.raises(PromptError, match=r"refuses these messages: no system.*--prompt plain"):
        prompts(base_with("{{ raise_exception('no system') }}"), Asking(chat=True))
    with pytest.raises(PromptError, match="does not say every turn once"):
        prompts(base_with("{{ messages[-1]['content'] }}"), Asking(chat=True, shots=SHOTS))


def test_examples_that_do_not_fit_are_counted() -> None:
    asked = prompts(BARE, Asking(shots=SHOTS), context=200)
    with pytest.raises(PromptError, match=rf"the 4 examples take {asked.lead_tokens} of them"):
        asked.pack(SCM, ROWS)


def test_examples_are_training_rows_one_of_every_cell() -> None:
    view = SCM
    known = {cells: int(row) for cells, row in zip(cells_of(view, torch.arange(300)), range(300), strict=True)}
    for seed in range(5):
        shots = draw_shots(view, 4, seed)
        rows = torch.tensor([known[shot.cells] for shot in shots])
        assert torch.isin(rows, view.split.train).all() and view.labels[rows].tolist() == [s.answer for s in shots]
        assert len({(int(view.labels[r]), int(view.groups[r])) for r in rows}) == 4
        assert shots == draw_shots(view, 4, seed)
    assert len({draw_shots(view, 4, seed) for seed in range(5)}) > 1
    assert sum(shot.answer for shot in draw_shots(view, 7, 0)) in (3, 4)
    assert draw_shots(view, 0, 0) == ()


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(PromptError, match="training rows; give 0 to"):
        draw_shots(SCM, 10_000, 0)
    labels = SCM.labels.clone()
    labels[SCM.split.train[:1]] = HIDDEN
    with pytest.raises(PromptError, match="hidden"):
        draw_shots(dataclasses.replace(SCM, labels=labels), 2, 0)


def test_the_way_to_ask_survives_json_and_damage_is_told() -> None:
    asking = Asking(True, SHOTS)
    facts = json.loads(json.dumps(asking.as_dict()))
    assert Asking.from_dict(facts) == asking
    for damaged in ({}, {"chat": 1, "shots": []}, {"chat": True, "shots": [{"cells": [["a"]], "answer": 0}]},
                    {"chat": True, "shots": [{"cells": [], "answer": 2}]}, {"chat": True, "shots": [3]}):  # fmt: skip
        with pytest.raises(ValueError, match="damaged"):
            Asking.from_dict(damaged)
