"""DoRA (Liu et al., 2024): magnitude of every output row and low-rank direction, m · (W + sBA) / ‖W + sBA‖."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llm_experts.adapters import lora
from llm_experts.adapters.kind import AdapterKind

if TYPE_CHECKING:
    from peft import LoraConfig
    from torch import nn


def make(rank: int | None, layers: Sequence[int] | None, model: nn.Module, **options: Any) -> LoraConfig:
    """Configuration; the magnitudes start at the row norms of W, so the start is the base."""
    return lora.make(rank, layers, model, use_dora=True, **options)


KIND = AdapterKind(
    "dora", "DoRA", make, default_lr=5e-4, lr_range=(1e-4, 1e-3), rank_choices=lora.RANKS, start=lora.start
)
