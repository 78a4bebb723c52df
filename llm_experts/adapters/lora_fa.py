"""LoRA-FA (Zhang et al., 2023): LoRA with A frozen at its random start; B's gradient is projected.

The projection, g ← g (A Aᵀ)⁻¹ / s², makes the step of B the best approximation of a step of W (equation 7 of the paper;
PEFT's ``create_lorafa_optimizer`` does the same in bfloat16, :func:`project` in the gradient's own precision).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from llm_experts.adapters import lora
from llm_experts.adapters.kind import AdapterKind, Gradients

RIDGE = 1e-8


def trains(key: str) -> bool:
    """B trains, A does not."""
    return ".lora_A." not in key


def projections(state: Mapping[str, Tensor], scaling: float) -> dict[str, Tensor]:
    """(A Aᵀ)⁻¹ / s² for the key of every B: [r, r], or [K, r, r] of a stacked state. A is frozen: compute it once.

    Rows of A that are zero (lanes of a lower rank) get the pseudo-inverse of zero.
    """
    found = {}
    for key, a in state.items():
        if ".lora_A." not in key:
            continue
        gram = a @ a.mT
        used = (gram.diagonal(dim1=-2, dim2=-1) > 0).to(a.dtype)
        ridge = torch.diag_embed(RIDGE * used + (1 - used))
        inverse = torch.linalg.inv(gram + ridge) * used[..., None, :] * used[..., :, None]
        found[key.replace(".lora_A.", ".lora_B.")] = inverse / scaling**2
    return found


def project(gradients: Mapping[str, Tensor], factors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gradients of B [..., out, r] times their factor; other gradients as they are."""
    return {key: g @ factors[key] if key in factors else g for key, g in gradients.items()}


def preconditioner(frozen: Mapping[str, Tensor], config: Any) -> Gradients:
    """The projection of lanes whose A are ``frozen``."""
    return partial(project, factors=projections(frozen, config.lora_alpha / config.r))


KIND = AdapterKind(
    name="lora_fa",
    label="LoRA-FA",
    about="LoRA with frozen A",
    place=3,
    make=lora.make,
    lr_range=(1e-4, 1e-3),
    rank_choices=(4, 8, 16),
    peft_type="LORA",
    written_as="lora",
    trains_matrices=True,
    row_wise=True,
    parts=("lora_A", "lora_B"),
    delta=lora.delta,
    trains=trains,
    start=lora.start,
    preconditioner=preconditioner,
)
