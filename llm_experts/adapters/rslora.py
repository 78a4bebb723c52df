"""Rank-stabilised LoRA (Kalajdzievski, 2023): the scaling is alpha / √r."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llm_experts.adapters import lora
from llm_experts.adapters.kind import AdapterKind

if TYPE_CHECKING:
    from peft import LoraConfig
    from torch import nn

ALPHA = 8
"""Fixed, so that the scaling falls with √r as the method has it; at rank 16 it is that of the other kinds, 2."""


def make(
    rank: int | None, layers: Sequence[int] | None, model: nn.Module, *, alpha: int = ALPHA, **options: Any
) -> LoraConfig:
    """Configuration; ``alpha`` does not follow the rank."""
    return lora.make(rank, layers, model, alpha=alpha, use_rslora=True, **options)


KIND = AdapterKind(
    name="rslora",
    label="rsLoRA",
    about="rank-stabilised LoRA",
    place=1,
    make=make,
    lr_range=(1e-4, 1e-3),
    rank_choices=(8, 16, 32),
    peft_type="LORA",
    peft_flag="use_rslora",
    trains_matrices=True,
    row_wise=True,
    parts=("lora_A", "lora_B"),
    delta=lora.delta,
    start=lora.start,
)
