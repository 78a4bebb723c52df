"""Adapters that act on the end of a text: the library's model, asked with the base's keys and values of the row."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from experts.expert import Role
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.state import set_adapter_state
from llm_experts.adapters.store import read_adapter
from llm_experts.bases.base import Base
from llm_experts.bases.error import BaseError
from llm_experts.decoder.entry import suffix_start
from llm_experts.decoder.program import Adapter
from llm_experts.mixtures.bank import AdapterBank
from llm_experts.mixtures.row_mixture import RowMixture
from llm_experts.prompts.prompts import pad
from llm_experts.reading.expert import LLMExpert, check_whole, load_llm_expert
from llm_experts.reading.reader import Reader
from llm_experts.training.trainer import Budget, LaneConfig, train_lanes
from tests.llm_experts.conftest import make_tiny_base
from tests.llm_experts.expert_fixtures import BASE, ROWS, SCM, make_adapter
from tests.llm_experts.lane_fixtures import make_texts

WIDE = make_tiny_base(layers=3, hidden=256, scale=0.08)
BASES = {"narrow": BASE, "wide": WIDE}


def by_the_library(base: Base, adapter: Adapter, reader: Reader) -> Tensor:
    """[n] margins: rows through the base, then, behind its cache, the question through PEFT's model."""
    model = inject(own_copy(base).model, adapter.config, None)
    set_adapter_state(model, adapter.state)
    answers, packed, found = reader.prompts(SCM).answer_ids, reader.pack(SCM, ROWS), []
    for row, start in enumerate(suffix_start(packed).tolist()):
        cache = base.model(input_ids=packed.ids[row : row + 1, :start], use_cache=True).past_key_values
        for order in (1, 2):
            own = (packed.segment[row] == 0) | (packed.segment[row] == order)
            end = packed.ids[row, start:][own[start:]][None]
            logits = model(input_ids=end, past_key_values=copy.deepcopy(cache)).logits[0, -1]
            found.append(logits[answers[1]] - logits[answers[0]])
    return torch.stack(found).view(len(ROWS), 2).mean(1).detach()


@pytest.mark.parametrize("width", BASES)
@pytest.mark.parametrize(("kind", "start"), [("lora", 0), ("dora", 1), ("ia3", 1), ("svf", 2), ("lora", 2)])
def test_margins_are_the_librarys_behind_a_cache(kind: str, start: int, width: str) -> None:
    base = BASES[width]
    adapter = make_adapter(kind, start=start, base=base)
    reader = Reader(base, start=start, scope="suffix")
    found = reader.margins([adapter, None], SCM, ROWS)
    torch.testing.assert_close(found[0], by_the_library(base, adapter, reader), atol=3e-5, rtol=1e-4)
    whole = Reader(base, start=start).margins([adapter, None], SCM, ROWS)
    torch.testing.assert_close(found[1], whole[1], atol=3e-5, rtol=1e-4)  # the base is the base
    assert float((found[0] - whole[0]).abs().max()) > 1e-3  # and a trained adapter another model


@pytest.mark.parametrize("width", BASES)
@pytest.mark.parametrize("start", [0, 1])
def test_branches_are_whole_texts(start: int, width: str) -> None:
    """Rows with single columns unknown, the same row again (shared up to its end), and rows of another group."""
    base, columns = BASES[width], len(SCM.columns)
    reader = Reader(base, start=start, scope="suffix")
    adapters = [make_adapter("lora", 0, start, base), None, make_adapter("ia3", 1, start, base)]
    each, keep = torch.arange(6).repeat_interleave(columns), ~torch.eye(columns, dtype=torch.bool).repeat(6, 1)
    moved = [reader.pack(view, ROWS) for view in (SCM, SCM.moved_to(1))]
    texts = pad([reader.pack(SCM, ROWS[each], keep), *moved])
    answers, plain = reader.prompts(SCM).answer_ids, reader.pack(SCM, ROWS)
    source = torch.cat([each, torch.arange(6), torch.arange(6)])
    found = reader.ask_branches(adapters, answers, plain, texts, source)
    for margins, packed in zip(found, (plain, texts), strict=True):
        asked = reader.ask(adapters, answers, packed, lambda a: a.margin)
        torch.testing.assert_close(margins, asked, atol=2e-5, rtol=1e-4)


def test_the_end_begins_behind_the_row() -> None:
    reader = Reader(BASE, scope="suffix")
    packed = reader.pack(SCM, ROWS)
    for row, start in enumerate(suffix_start(packed).tolist()):
        length = int(packed.lengths[row])
        said = str(BASE.tokenizer.decode(packed.ids[row, start:length]))
        assert said.lstrip(". \n").startswith("Question:") and said.count("Answer:") == 2


@pytest.mark.parametrize("role", ["utility", "combined"])
def test_lanes_train_and_read_alike(role: Role) -> None:
    texts = make_texts(160, start=0, scope="suffix")
    budget = Budget(steps=6, eval_every=3, warm_up=2, batch_rows=24, rungs=(), explained_rows=8, final_rows=8)
    lambdas: dict[str, float] = (
        {} if role == "utility" else {"lambda_fair": 1.0, "lambda_cf": 1.0, "lambda_attention": 1.0}
    )
    result = train_lanes(texts, role, [LaneConfig(1e-2, 0.0, 4, lambdas, s) for s in (0, 1)], budget, seed=0)
    assert result.state == ["completed"] * 2
    adapters = [result.adapter(lane) for lane in range(2)]
    read = texts.reader.margins(adapters, texts.view, texts.view.split.validation).double()
    torch.testing.assert_close(result.margins, read, atol=1e-5, rtol=1e-4)


def test_an_expert_remembers_its_scope(tmp_path: Path) -> None:
    adapter = make_adapter("lora")
    suffix, full = (LLMExpert("utility", Reader(BASE, scope=s), adapter) for s in ("suffix", "full"))
    suffix.save(tmp_path)
    again = load_llm_expert(tmp_path, BASE, [full.reader])
    assert again.reader is not full.reader and again.reader.scope == "suffix"
    assert torch.equal(again.margins(SCM, ROWS), suffix.margins(SCM, ROWS))
    assert load_llm_expert(tmp_path, BASE, [full.reader, suffix.reader]).reader is suffix.reader
    for use in (read_adapter, lambda folder: AdapterBank.from_adapters(BASE, [folder])):
        with pytest.raises(AdapterError, match="trained with scope suffix, and here it would act with scope full"):
            use(tmp_path / "adapter")


def test_a_mixture_of_one_scope_acts_where_its_members_do() -> None:
    from tests.llm_experts.mixtures.test_row_mixture import everywhere

    reader = Reader(BASE, scope="suffix")
    member = LLMExpert("utility", reader, make_adapter("lora"))
    mixture = RowMixture((LLMExpert("utility", reader), member), everywhere(0.0, 1.0))
    torch.testing.assert_close(mixture.margins(SCM, ROWS), member.margins(SCM, ROWS), atol=1e-5, rtol=1e-5)


def test_adapters_of_two_scopes_are_not_added() -> None:
    from tests.llm_experts.mixtures.test_row_mixture import everywhere

    members = [LLMExpert("utility", Reader(BASE, scope=s), make_adapter("lora")) for s in ("full", "suffix")]
    with pytest.raises(AdapterError, match="scopes full and suffix cannot be mixed inside the layers"):
        RowMixture(tuple(members), everywhere(0.5, 0.5))
    check_whole(members[0])
    with pytest.raises(AdapterError, match="trained with scope suffix: it acts on the question"):
        check_whole(members[1])


@pytest.mark.parametrize("kind", ["soft_prompt", "prefix"])
def test_virtual_tokens_have_no_end_to_act_on(kind: str) -> None:
    with pytest.raises(AdapterError, match=r"needs? the whole text.*--scope full"):
        Reader(BASE, start=0, scope="suffix").margins([make_adapter(kind, start=0)], SCM, ROWS)
    with pytest.raises(BaseError, match="no scope 'half'"):
        Reader(BASE, scope="half")  # type: ignore[arg-type]
