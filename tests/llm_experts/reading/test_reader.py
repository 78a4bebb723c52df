"""The reader says what the library's model says text by text, whatever is shared, cached or batched."""

import copy
import dataclasses

import pytest
import torch

from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import KINDS
from llm_experts.adapters.state import set_adapter_state
from llm_experts.decoder.shared_prefix import branch_off
from llm_experts.prompts.prompts import PromptError, pad
from llm_experts.reading import reader as reader_module
from llm_experts.reading.reader import Reader
from tests.llm_experts.expert_fixtures import BASE, ROWS, SCM, VIRTUAL, make_adapter

COLUMNS = len(SCM.columns)


def by_the_library(adapter, texts: list[str], answer_ids: tuple[int, int]) -> torch.Tensor:
    """[n] margins of whole texts, one after another, through PEFT's own forward pass."""
    own = own_copy(BASE)
    model = own.model
    if adapter is not None:
        model = inject(own.model, adapter.config, None)
        set_adapter_state(model, adapter.state)
    found = []
    for text in texts:
        ids = torch.tensor(BASE.tokenizer(text)["input_ids"])[None]
        no, yes = model(input_ids=ids).logits[0, -1, list(answer_ids)]
        found.append(yes - no)
    return torch.stack(found).detach()


def masked() -> tuple[torch.Tensor, torch.Tensor]:
    """Every row with every single column unknown."""
    return torch.arange(len(ROWS)).repeat_interleave(COLUMNS), ~torch.eye(COLUMNS, dtype=torch.bool).repeat(
        len(ROWS), 1
    )


@pytest.mark.parametrize(("kind", "start"), [*((kind, 0) for kind in KINDS), ("base", 2), ("dora", 1), ("svf", 2)])
def test_margins_are_the_librarys(kind: str, start: int) -> None:
    adapter = None if kind == "base" else make_adapter(kind, start=start)
    reader = Reader(BASE, start=start)
    prompts = reader.prompts(SCM)
    expected = torch.stack(
        [by_the_library(adapter, prompts.text_of(SCM, ROWS, order=k), prompts.answer_ids) for k in (0, 1)]
    ).mean(0)
    found = reader.margins([adapter], SCM, ROWS)
    assert found.shape == (1, len(ROWS))
    torch.testing.assert_close(found[0], expected, atol=2e-5, rtol=2e-5)


def test_adapters_of_several_kinds_answer_together_as_they_do_alone() -> None:
    kinds = ["lora", "dora", "lora", "ia3", "svf"]
    adapters = [*(make_adapter(kind, seed) for seed, kind in enumerate(kinds)), None, None]
    reader = Reader(BASE)
    together = reader.margins(adapters, SCM, ROWS)
    for adapter, found in zip(adapters, together, strict=True):
        torch.testing.assert_close(found, Reader(BASE).margins([adapter], SCM, ROWS)[0], atol=1e-5, rtol=1e-5)
    assert float((together[:1] - together[1:5]).abs().min()) > 0
    assert torch.equal(together[5], together[6])


def test_adapters_of_all_layers_answer_one_by_one() -> None:
    adapters = [make_adapter(kind, start=0) for kind in ("prefix", "lora", "soft_prompt", "lora")]
    reader = Reader(BASE, start=0)
    together = reader.margins(adapters, SCM, ROWS)
    for adapter, found in zip(adapters, together, strict=True):
        assert torch.equal(found, reader.margins([adapter], SCM, ROWS)[0])


@pytest.mark.parametrize(
    ("kind", "start"),
    [("base", 0), ("base", 2), *((kind, 0) for kind in VIRTUAL), ("lora", 1), ("dora", 2), ("svf", 2)],
)
def test_branches_are_whole_texts(kind: str, start: int) -> None:
    adapters = [None] * 2 if kind == "base" else [make_adapter(kind, seed, start=start) for seed in (0, 1)]
    reader = Reader(BASE, start=start)
    answers, plain = reader.prompts(SCM).answer_ids, reader.pack(SCM, ROWS)
    each, keep = masked()
    moved = SCM.moved_to(1)
    texts, source = (
        pad([reader.pack(SCM, ROWS[each], keep), reader.pack(moved, ROWS)]),
        torch.cat([each, torch.arange(6)]),
    )
    found = reader.ask_branches(adapters, answers, plain, texts, source)
    for margins, packed in zip(found, (plain, texts), strict=True):
        torch.testing.assert_close(
            margins, reader.ask(adapters, answers, packed, lambda a: a.margin), atol=1e-5, rtol=1e-5
        )


def test_branches_in_small_portions_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    adapters, (each, keep) = [make_adapter("lora"), make_adapter("ia3")], masked()
    reader = Reader(BASE)
    asked = (adapters, reader.prompts(SCM).answer_ids, reader.pack(SCM, ROWS), reader.pack(SCM, ROWS[each], keep), each)
    whole = reader.ask_branches(*asked)
    monkeypatch.setitem(reader_module.PAST_FLOATS, "cpu", 1)
    monkeypatch.setitem(reader_module.BRANCH_TOKENS, "cpu", 100)
    for first, second in zip(whole, reader.ask_branches(*asked), strict=True):
        torch.testing.assert_close(second, first, atol=1e-5, rtol=1e-5)


def test_a_branch_begins_where_the_texts_part() -> None:
    each, keep = masked()
    reader = Reader(BASE)
    plain, texts = reader.pack(SCM, ROWS), reader.pack(SCM, ROWS[each], keep)
    branches = branch_off(plain, texts, each)
    for index in range(len(texts)):
        shared, source = int(branches.shared[index]), int(each[index])
        assert torch.equal(texts.ids[index, :shared], plain.ids[source, :shared])
        same = torch.equal(texts.ids[index], plain.ids[source]) if texts.ids.shape == plain.ids.shape else False
        assert same or int(texts.ids[index, shared]) != int(plain.ids[source, shared])
        length = int(branches.lengths[index])
        assert torch.equal(branches.ids[index, :length], texts.ids[index, shared : shared + length])
        assert shared + length == int(texts.lengths[index])


def test_a_row_does_not_depend_on_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    adapters = [make_adapter("lora", 0), make_adapter("lora", 1)]
    rows = torch.arange(60)
    together = Reader(BASE).margins(adapters, SCM, rows)
    torch.testing.assert_close(Reader(BASE).margins(adapters, SCM, rows[::7]), together[:, ::7], atol=1e-5, rtol=1e-5)
    assert torch.equal(Reader(BASE).margins(adapters, SCM, rows), together)  # bit by bit
    monkeypatch.setitem(reader_module.BATCH_TOKENS, "cpu", 200)
    torch.testing.assert_close(Reader(BASE).margins(adapters, SCM, rows), together, atol=1e-5, rtol=1e-5)


def test_equal_texts_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, read = Reader(BASE), []
    lower = reader.cut.lower

    def counted(ids: torch.Tensor, layout: object) -> torch.Tensor:
        read.append(len(ids))
        return lower(ids, layout)

    monkeypatch.setattr(reader.cut, "lower", counted)
    twice = reader.margins([None], SCM, ROWS.repeat(2))
    assert sum(read) == len(ROWS)
    assert torch.equal(twice[:, : len(ROWS)], twice[:, len(ROWS) :])
    again = reader.margins([make_adapter("lora")], SCM, ROWS.flip(0))
    assert sum(read) == len(ROWS)  # what is below the top is shared by all adapters
    fresh = Reader(BASE).margins([make_adapter("lora")], SCM, ROWS.flip(0))
    torch.testing.assert_close(again, fresh, atol=1e-5, rtol=1e-5)
    some = reader.margins([None], SCM, torch.cat([ROWS[:2], torch.tensor([100, 101])]))
    assert sum(read) == len(ROWS) + 2
    torch.testing.assert_close(some[:, :2], twice[:, :2], atol=1e-5, rtol=1e-5)
    reader.forget()
    reader.margins([None], SCM, ROWS)
    assert sum(read) == 2 * len(ROWS) + 2


def test_memory_for_hidden_states_is_bounded() -> None:
    tokens = int(Reader(BASE).pack(SCM, ROWS).lengths.max())
    reader = Reader(BASE, cache_bytes=2 * tokens * BASE.hidden_size * 4)
    expected = Reader(BASE).margins([None], SCM, ROWS)
    for _ in range(2):
        torch.testing.assert_close(reader.margins([None], SCM, ROWS), expected, atol=1e-5, rtol=1e-5)
    assert reader._cache._bytes <= 2 * tokens * BASE.hidden_size * 4


def test_masks_and_templates_change_the_text() -> None:
    keep = torch.ones(len(ROWS), COLUMNS, dtype=torch.bool)
    keep[:, 0] = False
    reader = Reader(BASE)
    plain = reader.margins([None], SCM, ROWS)
    assert not torch.allclose(reader.margins([None], SCM, ROWS, keep), plain)
    assert not torch.allclose(Reader(BASE, template="record").margins([None], SCM, ROWS), plain)


def test_pooled_states_are_those_of_the_answer_tokens() -> None:
    adapter = make_adapter("lora")
    own = own_copy(BASE)
    model = inject(own.model, adapter.config, None)
    set_adapter_state(model, adapter.state)
    reader = Reader(BASE)
    found = reader.pooled([adapter, None], SCM, ROWS)
    assert found.shape == (2, len(ROWS), BASE.hidden_size)
    texts = [reader.prompts(SCM).text_of(SCM, ROWS[:1], order=order)[0] for order in (0, 1)]
    last = [
        model.get_base_model().model(torch.tensor(BASE.tokenizer(text)["input_ids"])[None]).last_hidden_state[0, -1]
        for text in texts
    ]
    torch.testing.assert_close(found[0, 0], torch.stack(last).mean(0).detach(), atol=2e-5, rtol=2e-5)


def test_answer_mass_is_the_share_of_the_vocabulary() -> None:
    reader = Reader(BASE)
    prompts = reader.prompts(SCM)
    found = reader.answer_mass([None, make_adapter("lora")], SCM, ROWS)
    shares = []
    for order in (0, 1):
        ids = torch.tensor(BASE.tokenizer(prompts.text_of(SCM, ROWS[:1], order=order)[0])["input_ids"])[None]
        shares.append(BASE.model(ids).logits[0, -1].softmax(-1)[list(prompts.answer_ids)].sum())
    torch.testing.assert_close(found[0, 0], torch.stack(shares).mean(), atol=1e-6, rtol=1e-4)
    assert found.shape == (2, len(ROWS)) and bool(((found > 0) & (found < 1)).all())


def test_when_memory_runs_out_batches_are_halved(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reader, sizes = Reader(BASE), []
    expected = Reader(BASE).margins([None], SCM, torch.arange(60))
    lower = reader.cut.lower

    def small(ids: torch.Tensor, layout: object) -> torch.Tensor:
        sizes.append(ids.numel())
        if ids.numel() > 600:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return lower(ids, layout)

    monkeypatch.setattr(reader.cut, "lower", small)
    torch.testing.assert_close(reader.margins([None], SCM, torch.arange(60)), expected, atol=1e-5, rtol=1e-5)
    assert "batches of 1/4 of their size" in caplog.text
    refused = len(sizes)
    reader.forget()
    reader.margins([None], SCM, torch.arange(60))
    assert max(sizes[refused:]) <= 600  # the smaller batch stays

    def broken(ids: torch.Tensor, layout: object) -> torch.Tensor:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(reader.cut, "lower", broken)
    reader.forget()
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        reader.margins([None], SCM, ROWS)


def test_margins_of_a_bfloat16_base_are_not_rounded_to_it() -> None:
    half = dataclasses.replace(BASE, model=copy.deepcopy(BASE.model).to(torch.bfloat16))
    adapters, rows = [make_adapter("lora"), None], torch.arange(40)
    found = Reader(half).margins(adapters, SCM, rows)
    assert found.dtype == torch.float32
    assert not torch.equal(found, found.to(torch.bfloat16).float())
    torch.testing.assert_close(found, Reader(BASE).margins(adapters, SCM, rows), atol=0.15, rtol=0)


def test_adapters_below_the_top_are_refused() -> None:
    with pytest.raises(AdapterError, match="weights of adapter 'default' are not in the module"):
        Reader(BASE).margins([make_adapter("lora", start=1)], SCM, ROWS)
    with pytest.raises(AdapterError, match="read with start=0"):
        Reader(BASE).margins([make_adapter("prefix")], SCM, ROWS)


def test_a_task_without_a_question_cannot_be_read() -> None:
    card = SCM.card.model_copy(update={"text": SCM.card.text.model_copy(update={"question": " "})})
    with pytest.raises(PromptError, match="asks no question"):
        Reader(BASE).margins([None], dataclasses.replace(SCM, card=card), ROWS)


def test_there_must_be_rows() -> None:
    with pytest.raises(PromptError, match="no rows to read"):
        Reader(BASE).margins([None], SCM, ROWS[:0])
