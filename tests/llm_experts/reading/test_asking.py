"""Readers that ask in a chat or behind examples: shared beginnings are run once, and experts remember how they ask."""

from pathlib import Path

import pytest
import torch

from llm_experts.adapters.error import AdapterError
from llm_experts.prompts.asking import PLAIN, Asking
from llm_experts.prompts.prompts import Packed
from llm_experts.prompts.shots import draw_shots
from llm_experts.reading.expert import LLMExpert, check_one_scope, load_llm_expert, probe
from llm_experts.reading.reader import Reader
from llm_experts.reading.template_spread import reworded_all
from tests.llm_experts.expert_fixtures import BASE, ROWS, SCM, make_adapter

ASKING = Asking(chat=True, shots=draw_shots(SCM, 1, 0))


class Alone(Reader):
    """Runs every prompt from its first token on."""

    def _common(self, packed: Packed) -> int:
        return 0


@pytest.mark.parametrize("start", [0, 2])
def test_a_shared_beginning_changes_no_answer(start: int) -> None:
    rows = torch.arange(6)
    adapters = [None, make_adapter("lora", start=start), make_adapter("prefix" if start == 0 else "dora", 1, start)]
    shared, alone = (kind(BASE, "record", start, asking=ASKING) for kind in (Reader, Alone))
    assert shared.prompts(SCM).lead_tokens > 90
    found, expected = (r.margins(adapters, SCM, rows) for r in (shared, alone))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    found, expected = (r.answer_mass(adapters, SCM, rows[:2]) for r in (shared, alone))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    found, expected = (r.pooled(adapters, SCM, rows[:2]) for r in (shared, alone))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_the_beginning_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(BASE, "record", asking=ASKING)
    lead, run = reader.prompts(SCM).lead_tokens, []
    lower = reader.cut.lower
    monkeypatch.setattr(
        reader.cut, "lower", lambda ids, at, *rest, **more: (run.append(ids.numel()), lower(ids, at, *rest, **more))[1]
    )
    reader.margins([None], SCM, torch.arange(40))
    packed = reader.pack(SCM, torch.arange(40))
    assert 40 * 20 < sum(run) <= lead + (packed.ids.shape[1] - lead) * 40


def test_the_prompt_is_part_of_what_is_asked_and_of_what_is_saved(tmp_path: Path) -> None:
    plain = Reader(BASE, "record")
    few = Reader(BASE, "record", asking=ASKING)
    assert not set(few.pack(SCM, ROWS).keys()) & set(plain.pack(SCM, ROWS).keys())
    expert = LLMExpert("utility", few, make_adapter("lora"), temperature=2.0)
    expert.save(tmp_path)
    loaded = load_llm_expert(tmp_path, BASE, [plain, few])
    assert loaded.reader is few
    fresh = load_llm_expert(tmp_path, BASE)
    assert fresh.reader.asking == ASKING and fresh.reader is not few
    torch.testing.assert_close(fresh.logits(SCM, ROWS), expert.logits(SCM, ROWS), atol=1e-5, rtol=1e-5)
    (worded,) = reworded_all([expert], "list")
    assert (worded.reader.template, worded.reader.asking) == ("list", ASKING)


def test_an_expert_that_asks_plainly_says_nothing_new(tmp_path: Path) -> None:
    LLMExpert("utility", Reader(BASE), make_adapter("lora")).save(tmp_path)
    assert "asking" not in (tmp_path / "expert.json").read_text()
    assert load_llm_expert(tmp_path, BASE).reader.asking == PLAIN
    facts = (tmp_path / "expert.json").read_text()
    (tmp_path / "expert.json").write_text(facts.replace('"template"', '"asking": {"chat": 3}, "template"'))
    with pytest.raises(AdapterError, match="prompt is damaged"):
        load_llm_expert(tmp_path, BASE)


def test_experts_that_ask_in_different_ways_are_not_mixed_inside_the_layers() -> None:
    one = LLMExpert("utility", Reader(BASE, "record", asking=ASKING), make_adapter("lora"))
    other = LLMExpert("result", Reader(BASE, "record"), make_adapter("lora", 1))
    check_one_scope([one, one])
    with pytest.raises(AdapterError, match="ask in different ways"):
        check_one_scope([one, other])


def test_reasons_and_moved_rows_behind_examples() -> None:
    reader = Reader(BASE, "record", asking=ASKING)
    expert = LLMExpert("utility", reader, make_adapter("lora"))
    probe([expert], SCM, ROWS)
    alone = LLMExpert("utility", Alone(BASE, "record", asking=ASKING), make_adapter("lora"))
    keep = ~torch.eye(len(SCM.columns), dtype=torch.bool)[1].repeat(len(ROWS), 1)
    torch.testing.assert_close(expert.logits(SCM, ROWS, keep), alone.logits(SCM, ROWS, keep), atol=1e-5, rtol=1e-5)
    moved = SCM.moved_to(1)
    torch.testing.assert_close(expert.logits(moved, ROWS), alone.logits(moved, ROWS), atol=1e-5, rtol=1e-5)
