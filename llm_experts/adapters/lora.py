"""LoRA (Hu et al., 2022): W + (alpha / r) · B A with B = 0 at the start."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from llm_experts.adapters.delta import Delta
from llm_experts.adapters.kind import ALL_LINEAR, AdapterKind

if TYPE_CHECKING:
    from peft import LoraConfig
    from torch import nn

RANK = 4
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

    r = RANK if rank is None else rank
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


def scaling_of(config: Any) -> float:
    """Factor of B A of an adapter of the LoRA family, where its rank and alpha are those of the matrix."""
    return float(config.lora_alpha / (math.sqrt(config.r) if config.use_rslora else config.r))


def delta(part: Mapping[str, Tensor], config: Any, _module: nn.Module) -> Delta:
    """Scaling · B A."""
    return Delta(part["lora_A"], part["lora_B"], scaling_of(config))


KIND = AdapterKind(
    name="lora",
    label="LoRA",
    about="low-rank changes of the matrices",
    place=0,
    make=make,
    lr_range=(1e-4, 1e-3),
    rank_choices=(4, 8, 16),
    peft_type="LORA",
    trains_matrices=True,
    row_wise=True,
    parts=("lora_A", "lora_B"),
    delta=delta,
    start=start,
)
