"""IA³ (Liu et al., 2022): learnt gains on keys, values and on what enters the MLP's last matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llm_experts.adapters.kind import AdapterKind, module_names

if TYPE_CHECKING:
    from peft import IA3Config
    from torch import nn

OUTPUT_GAINS = ("k_proj", "v_proj")
INPUT_GAINS = ("down_proj",)
"""The MLP's activation is scaled: the gain is on the input of down_proj. PEFT's table for Qwen 3 has q instead of k."""


def make(_rank: int | None, layers: Sequence[int] | None, model: nn.Module) -> IA3Config:
    """Configuration; there is no rank."""
    from peft import IA3Config

    return IA3Config(
        task_type="CAUSAL_LM",
        target_modules=module_names(model, OUTPUT_GAINS + INPUT_GAINS, layers),
        feedforward_modules=module_names(model, INPUT_GAINS, layers),
    )


KIND = AdapterKind("ia3", "IA³", make, default_lr=1e-1, lr_range=(1e-2, 5e-1), rank_choices=(1,))
