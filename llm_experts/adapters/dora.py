"""DoRA (Liu et al., 2024): magnitude of every output row and low-rank direction, m · (W + sBA) / ‖W + sBA‖."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from llm_experts.adapters import lora
from llm_experts.adapters.delta import Delta
from llm_experts.adapters.kind import AdapterKind
from llm_experts.adapters.svf.weights import dense_weight

if TYPE_CHECKING:
    from peft import LoraConfig


def make(rank: int | None, layers: Sequence[int] | None, model: nn.Module, **options: Any) -> LoraConfig:
    """Configuration; the magnitudes start at the row norms of W, so the start is the base."""
    return lora.make(rank, layers, model, use_dora=True, **options)


@torch.no_grad()
def delta(part: Mapping[str, Tensor], config: Any, module: nn.Module) -> Delta:
    """B' = m/n ⊙ B, gain = m/n - 1 and offset = -gain ⊙ b, with n the row norms of W + sBA."""
    scaling, a, b = lora.scaling_of(config), part["lora_A"], part["lora_B"]
    weight = dense_weight(module).float()
    norm = torch.linalg.vector_norm(weight + scaling * (b.float() @ a.float()).to(weight.device), dim=1)
    ratio = part["lora_magnitude_vector"].to(norm.device) / norm
    bias = getattr(module, "bias", None)
    return Delta(a, ratio[:, None].to(b) * b, scaling, ratio - 1, None if bias is None else (1 - ratio) * bias.detach())


KIND = AdapterKind(
    name="dora",
    label="DoRA",
    about="weight-decomposed LoRA",
    place=2,
    make=make,
    lr_range=(1e-4, 1e-3),
    rank_choices=(4, 8, 16),
    peft_type="LORA",
    peft_flag="use_dora",
    trains_matrices=True,
    parts=("lora_A", "lora_B", "lora_magnitude_vector"),
    delta=delta,
    start=lora.start,
)
