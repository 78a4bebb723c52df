"""An adapter in the weights of its base: the same answers, and the base as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from llm_experts.adapters.composition import melted
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.state import set_adapter_state
from llm_experts.bases.base import Base
from llm_experts.bases.quantising import quantised
from tests.llm_experts.expert_fixtures import make_adapter

WORDS = torch.tensor([[3, 5, 7, 11]])


@pytest.mark.parametrize("kind", ["lora", "rslora", "dora", "ia3", "svf"])
def test_one_model_says_what_base_and_adapter_said(kind: str, tiny_base: Base) -> None:
    adapter, model = make_adapter(kind, 0, base=tiny_base), tiny_base.model
    before = [weight.clone() for weight in model.parameters()]
    found = melted(tiny_base, adapter.config, adapter.state)
    peft: Any = inject(own_copy(tiny_base).model, adapter.config, None)
    set_adapter_state(peft, dict(adapter.state), "default")
    with torch.no_grad():
        wanted, plain = peft(input_ids=WORDS).logits, model(input_ids=WORDS).logits
        assert (found.model(input_ids=WORDS).logits - wanted).abs().max() < 1e-4 < (wanted - plain).abs().max()
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))
    assert not any(weight.requires_grad for weight in found.model.parameters())
    assert len({tiny_base.hash, found.hash, melted(tiny_base, *parts(kind, 1, tiny_base)).hash}) == 3
    assert found.hash == melted(tiny_base, adapter.config, adapter.state).hash


def parts(kind: str, seed: int, base: Base) -> tuple[Any, Any]:
    adapter = make_adapter(kind, seed, base=base)
    return adapter.config, adapter.state


def test_what_cannot_be_melted(tiny_base: Base) -> None:
    with pytest.raises(AdapterError, match="adds words or states"):
        melted(tiny_base, *parts("prefix", 0, tiny_base))
    with pytest.raises(AdapterError, match="Dequantise it first"):
        melted(quantised(tiny_base, "ternary"), *parts("lora", 0, tiny_base))
