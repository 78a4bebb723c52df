"""What an adapter adds to the output of each matrix: the common form in which kinds can be summed.

For an input x of a matrix W = U diag(σ) Vᵀ with bias b every weight-based kind adds, with constants of its own,

    scaling · B A x  +  gain ⊙ (W x + b)  +  W (input_gain ⊙ x)  +  offset  +  U (σ ⊙ multiplier ⊙ Vᵀ x).

LoRA, rsLoRA and LoRA-FA have the first term. IA³ has one of the gains, learnt gain less 1. DoRA, m ⊙ (W + sBA) x / n
with n the row norms of W + sBA, has the first with B' = m/n ⊙ B, gain = m/n - 1, and offset = -gain ⊙ b, as b is not
scaled. SVF has the last, with multiplier z - 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from llm_experts.adapters.error import AdapterError

KEY = re.compile(r"^.*?\blayers\.(\d+)\.(.+)\.([^.]+)$")


class Place(NamedTuple):
    """A matrix of a decoder: number of the layer and name within it, such as ``self_attn.q_proj``."""

    layer: int
    name: str


class Spectrum(NamedTuple):
    """W = U diag(σ) Vᵀ, float32.

    Attributes
    ----------
    u : [out, k]
        k = min(out, in). The entry of largest size in every column is positive.
    s : [k]
        At least 0, falling.
    v : [in, k]
    """

    u: Tensor
    s: Tensor
    v: Tensor

    def to(self, device: torch.device) -> Spectrum:
        """The same on a device."""
        return Spectrum(*(t.to(device) for t in self))


@dataclass(frozen=True, eq=False)
class Delta:
    """What one adapter adds at one matrix W [out, in]; absent terms are None.

    Attributes
    ----------
    a, b : [r, in], [out, r]
    scaling : float
    gain, offset : [out]
    input_gain : [in]
    multiplier : [k]
        Of the k largest singular values.
    spectrum : Spectrum
        Of W, where there is a multiplier.
    """

    a: Tensor | None = None
    b: Tensor | None = None
    scaling: float = 1.0
    gain: Tensor | None = None
    offset: Tensor | None = None
    input_gain: Tensor | None = None
    multiplier: Tensor | None = None
    spectrum: Spectrum | None = None

    @property
    def rank(self) -> int:
        """Rank of the low-rank term, 0 without one."""
        return 0 if self.a is None else len(self.a)


def part_of(key: str) -> tuple[Place, str]:
    """The place of a key of an adapter's state, and what the key is called there, such as ``lora_A``."""
    found = KEY.match(key.removesuffix(".weight"))
    if not found:
        raise AdapterError(f"{key} is no weight of an adapter that changes matrices; load the adapter's own folder.")
    return Place(int(found[1]), found[2]), found[3]


def matrix(layers: nn.ModuleList, place: Place) -> nn.Module:
    """The module of a place; of a PEFT layer, the module that it wraps."""
    found: Any = layers[place.layer].get_submodule(place.name)
    return found.get_base_layer() if hasattr(found, "get_base_layer") else found  # type: ignore[no-any-return]
