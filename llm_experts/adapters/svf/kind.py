"""SVF (Transformer², Sun et al., 2025) as a kind of adapter; the method itself is :mod:`llm_experts.adapters.svf`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llm_experts.adapters.kind import ALL_LINEAR, AdapterKind

if TYPE_CHECKING:
    from torch import nn

    from llm_experts.adapters.svf import SVFConfig


def make(
    rank: int | None,
    layers: Sequence[int] | None,
    _model: nn.Module,
    *,
    targets: Sequence[str] = ALL_LINEAR,
    forward: str = "auto",
    renormalise: bool = False,
) -> SVFConfig:
    """Configuration; ``rank`` singular values of every matrix are tuned, None is all. Starts at the base, exactly."""
    from llm_experts.adapters.svf import SVFConfig

    return SVFConfig(
        task_type="CAUSAL_LM",
        rank=rank,
        target_modules=list(targets),
        layers_to_transform=None if layers is None else list(layers),
        layers_pattern=None if layers is None else "layers",
        forward=forward,
        renormalise=renormalise,
    )


KIND = AdapterKind("svf", "SVF", make, default_lr=1e-1, lr_range=(1e-2, 5e-1), rank_choices=(None, 64, 16))
