"""Adapters of every kind on a tiny base, as they are saved."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from llm_experts.adapters.injection import inject, own_copy
from llm_experts.adapters.registry import kind_named
from llm_experts.adapters.state import adapter_state, set_adapter_state
from llm_experts.adapters.store import SavedAdapter
from llm_experts.bases.base import Base
from tests.llm_experts.conftest import make_tiny_base

BASE = make_tiny_base(layers=2, hidden=32)
IDS = torch.tensor([[5, 9, 31, 7, 80], [11, 12, 13, 14, 15], [3, 2, 1, 90, 91], [60, 7, 8, 9, 10]])
MATRICES = ("lora", "rslora", "lora_fa", "dora", "ia3", "svf")


def peft_adapter(
    kind: str,
    seed: int = 0,
    rank: int | None = 4,
    base: Base = BASE,
    size: float = 0.1,
    **options: Any,
) -> Any:
    """A PEFT model with an adapter that has learnt something."""
    copy = own_copy(base)
    model = inject(copy.model, kind_named(kind).make_config(rank, None, copy.model, **options), seed)
    generator = torch.Generator().manual_seed(seed)
    state = adapter_state(model)
    set_adapter_state(
        model, {k: v + size * torch.randn(v.shape, generator=generator) for k, v in sorted(state.items())}
    )
    return model


def saved(model: Any, base: Base = BASE) -> SavedAdapter:
    """What a folder of the adapter would say."""
    config = model.peft_config["default"]
    return SavedAdapter(config.fairmoe_kind, config, adapter_state(model), base.id, base.hash, {}, {})


@torch.no_grad()
def logits(model: nn.Module, ids: Tensor = IDS) -> Tensor:
    """[rows, tokens, vocabulary]."""
    found: Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return found
