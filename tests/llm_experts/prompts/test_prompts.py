"""Packed prompts say exactly what two separate prompts per row would, and a column is its own tokens only."""

import dataclasses
from typing import Literal

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_experts.decoder.layout import Layout
from llm_experts.prompts.prompts import Packed, PromptError, Prompts, packed_batches, pad
from tasks.card import DataError, TextStyle
from tasks.load import load_task
from tasks.task import TaskView
from tasks.templates import TEMPLATES
from tasks.text import render
from tests.llm_experts.conftest import make_tiny_base, tiny_tokenizer

BASE = make_tiny_base(layers=2)
SCM = load_task("scm", rows=300).view()
ROWS = torch.tensor([3, 250, 17, 90])


def prompts(view: TaskView = SCM, template: str = "sentence", **changes: str) -> Prompts:
    style = view.card.text.model_copy(update=changes)
    return Prompts(BASE.tokenizer, style, template, context=1024)


def tokens_of(packed: Packed, row: int, order: int) -> torch.Tensor:
    """[t] tokens that the answer of an order sees."""
    segment = packed.segment[row]
    return packed.ids[row][(segment == 0) | (segment == order + 1)]


def column_tokens(packed: Packed, row: int) -> dict[int, list[int]]:
    return {int(c): packed.ids[row][packed.columns[row] == c].tolist() for c in packed.columns[row].unique() if c >= 0}


@pytest.mark.parametrize("template", TEMPLATES)
def test_packed_gives_the_logits_of_two_separate_prompts(template: str) -> None:
    asked = prompts(template=template)
    packed = asked.pack(SCM, ROWS)
    together = BASE.model(
        input_ids=packed.ids, attention_mask=Layout.of(packed).allowed(), position_ids=packed.positions, use_cache=False
    ).logits
    for row in range(len(ROWS)):
        for order in (0, 1):
            alone = BASE.model(input_ids=tokens_of(packed, row, order)[None]).logits[0, -1]
            torch.testing.assert_close(together[row, packed.answers[row, order]], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("template", TEMPLATES)
def test_tokens_read_as_the_text(template: str) -> None:
    asked = prompts(template=template)
    packed = asked.pack(SCM, ROWS)
    for order in (0, 1):
        for row, text in enumerate(asked.text_of(SCM, ROWS, order=order)):
            assert BASE.tokenizer.decode(tokens_of(packed, row, order)) == text
            assert tokens_of(packed, row, order).tolist() == BASE.tokenizer(text)["input_ids"]
    first = asked.text_of(SCM, ROWS)[0]
    written = render(SCM, ROWS, template=template)[0]
    assert first.startswith(written.text) and first.endswith("Options: yes or no. Answer:")
    assert first[len(written.text) :].strip().startswith("Question: Is the applicant hired? Options:")


@pytest.mark.parametrize("template", TEMPLATES)
def test_columns_are_the_tokens_of_the_spans(template: str) -> None:
    packed = prompts(template=template).pack(SCM, ROWS)
    for row, written in enumerate(render(SCM, ROWS, template=template)):
        found = column_tokens(packed, row)
        assert sorted(found) == list(range(len(SCM.columns)))
        for column, (start, stop) in enumerate(written.spans):
            assert BASE.tokenizer.decode(found[column]).strip() == written.text[start:stop]


def test_segments_positions_and_padding() -> None:
    packed = prompts().pack(SCM, ROWS)
    for row in range(len(ROWS)):
        segment, positions, n = packed.segment[row].tolist(), packed.positions[row], int(packed.lengths[row])
        shared, a, b = (segment.count(k) for k in (0, 1, 2))
        assert segment == [0] * shared + [1] * a + [2] * b + [-1] * (len(segment) - n) and n == shared + a + b
        assert positions[: shared + a].tolist() == list(range(shared + a))
        assert positions[shared + a : n].tolist() == list(range(shared, shared + b))
        assert packed.answers[row].tolist() == [shared + a - 1, n - 1]
        assert (packed.ids[row, n:] == 0).all() and (packed.columns[row][packed.segment[row] != 0] == -1).all()
    assert packed.lengths.unique().numel() > 1, "rows of several lengths"


def test_mask_by_hand() -> None:
    segment = torch.tensor([[0, 0, 1, 2, 2, -1]], dtype=torch.int8)
    zeros = torch.zeros(1, 6, dtype=torch.int64)
    packed = Packed(zeros, zeros, segment, torch.tensor([[2, 4]]), zeros.to(torch.int16))
    seen = ["x.....", "xx....", "xxx...", "xx.x..", "xx.xx.", "xx...x"]
    assert Layout.of(packed).allowed().shape == (1, 1, 6, 6) and Layout.of(packed).allowed().dtype == torch.bool
    assert ["".join(".x"[int(s)] for s in line) for line in Layout.of(packed).allowed()[0, 0]] == seen


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 299), min_size=1, max_size=12), st.sampled_from(TEMPLATES), st.integers(0, 2**30))
def test_masking_a_column_changes_its_own_tokens_only(rows: list[int], template: str, seed: int) -> None:
    asked, index = prompts(template=template), torch.tensor(rows)
    keep = torch.rand(len(rows), len(SCM.columns), generator=torch.Generator().manual_seed(seed)) > 0.4
    whole, masked = asked.pack(SCM, index), asked.pack(SCM, index, keep)
    for row in range(len(rows)):
        before, after = column_tokens(whole, row), column_tokens(masked, row)
        for column in range(len(SCM.columns)):
            if keep[row, column]:
                assert before[column] == after[column]
            else:
                assert BASE.tokenizer.decode(after[column]).rstrip(".").endswith("unknown")
        rest = [p.ids[row][(p.columns[row] < 0) & (p.segment[row] >= 0)].tolist() for p in (whole, masked)]
        assert rest[0] == rest[1]


@pytest.mark.parametrize("template", TEMPLATES)
def test_another_group_changes_the_sensitive_columns_only(template: str) -> None:
    asked, every = prompts(template=template), torch.arange(300)
    here = asked.pack(SCM, every)
    for group in range(len(SCM.group_names)):
        there = asked.pack(SCM.moved_to(group), every)
        same = torch.tensor([a == b for a, b in zip(here.keys(), there.keys(), strict=True)])
        assert torch.equal(same, SCM.groups == group)
        for row in range(0, 300, 23):
            before, after = column_tokens(here, row), column_tokens(there, row)
            changed = {c for c in before if before[c] != after[c]}
            assert changed <= set(SCM.sensitive_columns)


def test_keys_differ_iff_tokens_do() -> None:
    asked = prompts()
    index = torch.cat([torch.arange(300), torch.arange(0, 300, 7)])
    packed = asked.pack(SCM, index)
    tokens = [tuple(packed.ids[row, : packed.lengths[row]].tolist()) for row in range(len(packed))]
    keys = packed.keys()
    assert len(set(keys)) == len(set(tokens)) == len(set(zip(keys, tokens, strict=True)))
    short = int(packed.lengths.argmin())
    assert asked.pack(SCM, index[short : short + 1]).keys() == [keys[short]], "padding is no part of a key"


def test_select_trim_and_pad() -> None:
    packed = prompts().pack(SCM, torch.arange(40))
    order = torch.argsort(packed.lengths)
    short, long = packed.select(order[:5]).trimmed(), packed.select(order[-5:]).trimmed()
    assert len(short) == 5 and short.ids.shape[1] == int(short.lengths.max()) < packed.ids.shape[1]
    joined = pad([short, long])
    back = packed.select(torch.cat([order[:5], order[-5:]]))
    for field in dataclasses.fields(Packed):
        assert torch.equal(getattr(joined, field.name), getattr(back, field.name)), field.name
        assert getattr(joined, field.name).dtype == getattr(packed, field.name).dtype
    kept = packed.select(packed.lengths > packed.lengths.float().median())
    assert 0 < len(kept) < 40 and torch.equal(packed.to("cpu").ids, packed.ids)
    assert len(prompts().pack(SCM, torch.tensor([], dtype=torch.int64))) == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 3000))
def test_packed_batches_cover_everything_within_the_bound(n: int, tokens: int) -> None:
    packed = prompts().pack(SCM, torch.arange(n))
    batches = list(packed_batches(packed, tokens))
    assert sorted(torch.cat(batches).tolist()) == list(range(n))
    widths = [int(packed.lengths[batch].max()) for batch in batches]
    assert widths == sorted(widths, reverse=True)
    assert all(len(batch) == 1 or len(batch) * width <= tokens for batch, width in zip(batches, widths, strict=True))


def test_a_beginning_token_is_written_where_the_tokenizer_does_so() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = tiny_tokenizer()
    bos = tokenizer.convert_tokens_to_ids("<bos>")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", bos)])
    asked = Prompts(tokenizer, SCM.card.text, context=1024)
    packed, plain = asked.pack(SCM, ROWS), prompts().pack(SCM, ROWS)
    assert (packed.ids[:, 0] == bos).all() and (packed.columns[:, 0] == -1).all()
    assert torch.equal(packed.ids[0, 1 : packed.lengths[0]], plain.ids[0, : plain.lengths[0]])
    assert tokens_of(packed, 0, 0).tolist() == tokenizer(asked.text_of(SCM, ROWS)[0])["input_ids"]
    assert asked.answer_ids == prompts().answer_ids


@pytest.mark.parametrize("scheme", ["first", "always"])
def test_tokenizers_that_mark_blanks_give_the_tokens_of_the_whole_text(scheme: Literal["first", "always"]) -> None:
    """SentencePiece's way: a text gets a mark in front, which a piece in the middle must not get."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    marks = Tokenizer(models.BPE())
    marks.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    marks.decoder = decoders.Metaspace(prepend_scheme=scheme)
    texts = [*SCM.text(torch.arange(30)), *prompts().text_of(SCM, ROWS), "a no yes"]
    marks.train_from_iterator(texts * 3, trainers.BpeTrainer(vocab_size=500, show_progress=False))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=marks)
    asked = Prompts(tokenizer, SCM.card.text, context=1024)
    packed = asked.pack(SCM, ROWS)
    for order in (0, 1):
        for row, text in enumerate(asked.text_of(SCM, ROWS, order=order)):
            assert tokens_of(packed, row, order).tolist() == tokenizer(text)["input_ids"]
            for word, answer in zip(("no", "yes"), asked.answer_ids, strict=True):
                assert tokenizer(f"{text} {word}")["input_ids"][-1] == answer


def test_answer_ids_are_no_and_yes() -> None:
    assert [BASE.tokenizer.decode([token]) for token in prompts().answer_ids] == [" no", " yes"]


def test_an_answer_of_several_tokens_is_refused() -> None:
    with pytest.raises(PromptError, match=r"'certainly' is \d+ tokens for this base \('.*'\).*positive and negative"):
        prompts(positive="certainly")
    with pytest.raises(PromptError, match="same token"):
        prompts(positive="no")


def test_a_card_without_a_question_is_refused() -> None:
    with pytest.raises(PromptError, match=r"asks no question.*\[text\] a line"):
        Prompts(BASE.tokenizer, TextStyle(), context=1024)


def test_a_row_longer_than_the_context_is_refused() -> None:
    packed = prompts().pack(SCM, ROWS)
    alone = torch.tensor([len(tokens_of(packed, row, 0)) for row in range(len(ROWS))])
    longest = int(alone.argmax())
    exact = Prompts(BASE.tokenizer, SCM.card.text, context=int(alone.max()))
    assert torch.equal(exact.pack(SCM, ROWS).ids, packed.ids), "exactly as long as the context fits"
    tight = Prompts(BASE.tokenizer, SCM.card.text, context=int(alone.max()) - 1)
    with pytest.raises(PromptError, match=f"Row {int(ROWS[longest])} is {int(alone.max())} tokens.*record"):
        tight.pack(SCM, ROWS)


def test_a_tokenizer_that_joins_words_is_refused() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    whole = Tokenizer(models.BPE(vocab={"a": 0, " ": 1, "a ": 2, "<unk>": 3}, merges=[("a", " ")], unk_token="<unk>"))
    with pytest.raises(PromptError, match="joins"):
        Prompts(PreTrainedTokenizerFast(tokenizer_object=whole), SCM.card.text, context=9)


def test_wrong_template_and_wrong_keep() -> None:
    with pytest.raises(DataError, match="sentence, list, record"):
        prompts(template="poem")
    with pytest.raises(DataError, match="keep is"):
        prompts().pack(SCM, ROWS, torch.ones(2, 2, dtype=torch.bool))


def test_a_table_as_a_user_has_it_reads_the_same() -> None:
    """Frames at serving time hold plain text where the task's hold categories."""
    plain = pd.DataFrame({name: SCM.frame[name].astype("object") for name in SCM.frame})
    plain = plain.astype({c.name: float for c in SCM.card.column if c.kind == "numeric" and c.name in plain})
    view = dataclasses.replace(SCM, frame=plain)
    assert prompts().pack(view, ROWS).keys() == prompts().pack(SCM, ROWS).keys()
