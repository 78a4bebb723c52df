"""Lanes on a wide base: rows in parts, states on disk and reasons by branches change nothing but the time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experts.expert import Role
from llm_experts.bases import memory
from llm_experts.decoder.entry import Entry
from llm_experts.decoder.layout import Scope
from llm_experts.prompts.prompts import Packed
from llm_experts.reading.state_store import LIMIT
from llm_experts.training import accumulation
from llm_experts.training.text_blocks import TaskTexts
from llm_experts.training.trainer import Budget, LaneConfig, LaneResult, train_lanes, with_reasons
from tests.llm_experts.lane_fixtures import make_texts

SHORT = Budget(steps=2, eval_every=2, warm_up=1, batch_rows=12, rungs=(), explained_rows=4, final_rows=4)
LAMBDAS = {"lambda_fair": 1.0, "lambda_cf": 1.0, "lambda_attention": 1.0, "lambda_adv": 0.1}


def trained(role: Role, scope: Scope, start: int) -> LaneResult:
    lambdas = {} if role == "utility" else LAMBDAS
    texts = make_texts(48, start=start, scope=scope, hidden=256)
    assert texts.cut.base.wide
    return train_lanes(texts, role, [LaneConfig(1e-3, 0.0, 4, lambdas)], SHORT, seed=0)


@pytest.mark.parametrize(
    ("role", "scope", "start"), [("utility", "full", 0), ("combined", "full", 0), ("combined", "suffix", 1)]
)
def test_parts_and_branches_are_whole_batches_and_texts(
    role: Role, scope: Scope, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = trained(role, scope, start)
    monkeypatch.setenv(LIMIT, "0")
    monkeypatch.setattr(TaskTexts, "branches", False)
    monkeypatch.setattr(memory, "CPU_FLOATS", 1 << 40)
    whole = trained(role, scope, start)
    monkeypatch.setattr(TaskTexts, "branches", True)
    monkeypatch.setattr(memory, "CPU_FLOATS", 1)
    monkeypatch.setitem(accumulation.PART_TOKENS, "cpu", 40)
    parts = trained(role, scope, start)
    for other in (whole, parts):
        torch.testing.assert_close(other.theta, found.theta, atol=1e-4, rtol=1e-3)
        assert other.metrics[0] == pytest.approx(found.metrics[0], abs=2e-3, nan_ok=True)


@pytest.mark.parametrize("scope", ["full", "suffix"])
def test_texts_that_memory_does_not_hold_are_computed_once_and_then_read(
    scope: Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = make_texts(24, start=1, scope=scope, hidden=256, cache_bytes=0).rows(torch.arange(6))
    held, some = make_texts(24, start=1, scope=scope, hidden=256).rows(torch.arange(6)), torch.tensor([4, 1])
    monkeypatch.setenv("FAIRMOE_HOME", str(tmp_path))
    computed = []
    states = Entry.states

    def counted(entry: Entry, packed: Packed) -> torch.Tensor:
        computed.append(len(packed))
        return states(entry, packed)

    monkeypatch.setattr(Entry, "states", counted)
    first, again = block.take(some), block.take(some)
    assert computed == [2]
    assert torch.equal(first.hidden, again.hidden)
    torch.testing.assert_close(first.hidden, held.take(some).hidden)


def test_reasons_at_the_end_are_for_roles_that_they_choose() -> None:
    budget = Budget()
    rows = {
        (role, wide): with_reasons(budget, role, wide).final_rows
        for role in ("utility", "result", "procedural", "combined")
        for wide in (False, True)
    }
    assert {key for key, count in rows.items() if count == 0} == {("utility", True), ("result", True)}
    assert with_reasons(budget, "utility", True, 7).final_rows == 7
    assert with_reasons(budget, "procedural", False, 0).final_rows == 0
