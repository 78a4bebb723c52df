"""SVF (Transformer², Sun et al., 2025) as a kind of adapter: its configuration, and what it adds to a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from llm_experts.adapters.delta import Delta
from llm_experts.adapters.kind import ALL_LINEAR
from llm_experts.adapters.svf.config import SVFConfig
from llm_experts.adapters.svf.decomposition import spectrum_of
from llm_experts.adapters.svf.multipliers import offsets
from llm_experts.adapters.svf.weights import dense_weight


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
    return SVFConfig(
        task_type="CAUSAL_LM",
        rank=rank,
        target_modules=list(targets),
        layers_to_transform=None if layers is None else list(layers),
        layers_pattern=None if layers is None else "layers",
        forward=forward,
        renormalise=renormalise,
    )


@torch.no_grad()
def delta(part: Mapping[str, Tensor], config: Any, module: nn.Module) -> Delta:
    """Multipliers z - 1 of the largest singular values of W."""
    p, renormalise = part["svf_p"], bool(getattr(config, "renormalise", False))
    spectrum = spectrum_of(dense_weight(module))
    return Delta(multiplier=offsets(p.to(spectrum.s), spectrum.s[: len(p)], renormalise), spectrum=spectrum)
