"""LoRA (Hu et al., 2022): W + (alpha / r) · B A with B = 0 at the start."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from llm_experts.adapters.kind import ALL_LINEAR, AdapterKind

if TYPE_CHECKING:
    from peft import LoraConfig
    from torch import nn

RANKS = (4, 8, 16)
SCALING = 2
"""alpha / r, whatever the rank."""


def make(
    rank: int | None,
    layers: Sequence[int] | None,
    _model: nn.Module,
    *,
    targets: Sequence[str] = ALL_LINEAR,
    alpha: int | None = None,
    dropout: float = 0.0,
    **flags: Any,
) -> LoraConfig:
    """Configuration; ``alpha`` is 2 · rank unless given, ``flags`` are PEFT's own."""
    from peft import LoraConfig

    r = RANKS[0] if rank is None else rank
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=r,
        lora_alpha=SCALING * r if alpha is None else alpha,
        lora_dropout=dropout,
        target_modules=list(targets),
        layers_to_transform=None if layers is None else list(layers),
        layers_pattern=None if layers is None else "layers",
        **flags,
    )


def start(key: str, value: Tensor, generator: Generator, _model: nn.Module, _config: Any) -> Tensor:
    """A uniform in ±1/√in (Kaiming with a = √5, as PEFT and nn.Linear), B zero; what depends on W alone stays."""
    if ".lora_A." in key:
        bound = 1 / math.sqrt(value.shape[1])
        drawn = (torch.rand(value.shape, generator=generator) * 2 - 1) * bound
        return drawn.to(value.device, value.dtype)
    return value.detach().clone()


KIND = AdapterKind("lora", "LoRA", make, default_lr=5e-4, lr_range=(1e-4, 1e-3), rank_choices=RANKS, start=start)
