"""IA³ (Liu et al., 2022): learnt gains on keys, values and on what enters the MLP's last matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from llm_experts.adapters.delta import Delta
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


def delta(part: Mapping[str, Tensor], _config: Any, _module: nn.Module) -> Delta:
    """Learnt gain less 1; gains of outputs are kept as columns and gains of inputs as rows."""
    less = part["ia3_l"].flatten() - 1
    return Delta(gain=less) if part["ia3_l"].shape[1] == 1 else Delta(input_gain=less)


KIND = AdapterKind(
    name="ia3",
    label="IA³",
    about="learnt gains",
    place=4,
    make=make,
    lr_range=(1e-2, 5e-1),
    rank_choices=(1,),
    peft_type="IA3",
    parts=("ia3_l",),
    delta=delta,
)
