"""Compositions on a base that people use: 30 layers, 210 matrices, a tokenizer of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import kind_named
from llm_experts.adapters.state import adapter_state, set_adapter_state
from llm_experts.adapters.store import SavedAdapter
from llm_experts.bases.base import Base
from llm_experts.bases.load import load_base
from llm_experts.runtime.compatibility import check_set
from llm_experts.runtime.composition import BASE, Composition
from llm_experts.runtime.resident import ResidentBase
from tests.llm_experts.runtime.resident_fixtures import logits

KINDS = {"loans": "lora", "french": "dora", "gains": "ia3", "values": "svf", "soft": "soft_prompt", "ahead": "prefix"}
pytestmark = pytest.mark.real_base


@pytest.fixture(scope="module")
def base(real_base_folder: Path) -> Base:
    return load_base(str(real_base_folder))


@pytest.fixture(scope="module")
def resident(base: Base) -> ResidentBase:
    """All kinds; singular values of the last layer only, as decompositions of all take minutes."""
    on = ResidentBase(base)
    for seed, (name, kind) in enumerate(KINDS.items()):
        own = own_copy(base)
        layers = [base.n_layers - 1] if kind == "svf" else None
        model = inject(own.model, kind_named(kind).make_config(4, layers, own.model), seed)
        generator = torch.Generator().manual_seed(seed)
        state = adapter_state(model)
        moved = {key: v + 0.02 * torch.randn(v.shape, generator=generator) for key, v in sorted(state.items())}
        set_adapter_state(model, moved)
        on.load(name, SavedAdapter(kind, model.peft_config["default"], moved, base.id, base.hash, {}, {}))
    return on


def computed(on: ResidentBase, compositions: list[Composition], ids: Tensor) -> Tensor:
    with on.lease(compositions), on.run(compositions):
        return logits(on.base.model, ids)


def test_rows_with_their_own_compositions_equal_those_alone(base: Base, resident: ResidentBase) -> None:
    four = [
        BASE,
        Composition.of({"loans": 1.0}),
        Composition.of({"loans": 0.5, "french": 0.8, "gains": -1.0, "values": 1.5}),
        Composition.of({"french": 1.0, "values": 0.5}),
    ]
    text = "The applicant is 34 years old, works full time and asks for a loan."
    ids = torch.tensor([base.tokenizer(text)["input_ids"]]).repeat(4, 1)
    found, plain = computed(resident, four, ids), logits(base.model, ids)
    assert torch.equal(found[0], plain[0])
    size = float(plain.abs().max())
    for row in range(1, 4):
        assert (found[row] - plain[row]).abs().max() > 0.01 * size
        alone = computed(resident, [four[row]], ids[:1])
        torch.testing.assert_close(found[row], alone[0], atol=1e-4 * size, rtol=1e-3)


def test_all_kinds_can_be_composed(resident: ResidentBase) -> None:
    found = check_set(resident, list(KINDS), ("Will the loan be repaid?", "Why is the sky blue?", "def mean(values):"))
    assert found.problems == () and found.whole_undefined == ""
    assert all(share.estimate > 0 for share in found.effects.values())
