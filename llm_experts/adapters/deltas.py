"""What an adapter adds to the output of each matrix: the common form in which kinds can be summed.

For an input x of a matrix W = U diag(σ) Vᵀ with bias b every weight-based kind adds, with constants of its own,

    scaling · B A x  +  gain ⊙ (W x + b)  +  W (input_gain ⊙ x)  +  offset  +  U (σ ⊙ multiplier ⊙ Vᵀ x).

LoRA, rsLoRA and LoRA-FA have the first term. IA³ has one of the gains, learnt gain less 1. DoRA, m ⊙ (W + sBA) x / n
with n the row norms of W + sBA, has the first with B' = m/n ⊙ B, gain = m/n - 1, and offset = -gain ⊙ b, as b is not
scaled. SVF has the last, with multiplier z - 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from llm_experts.adapters.kind import AdapterError
from llm_experts.adapters.registry import kind_of

if TYPE_CHECKING:
    from peft import PeftConfig

    from llm_experts.adapters.svf import Spectrum

KEY = re.compile(r"^.*?\blayers\.(\d+)\.(.+?)\.(?:lora_A|lora_B|lora_magnitude_vector|ia3_l|svf_p)(?:\.weight)?$")


class Place(NamedTuple):
    """A matrix of a decoder: number of the layer and name within it, such as ``self_attn.q_proj``."""

    layer: int
    name: str


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


def place_of(key: str) -> Place:
    """The place of a key of an adapter's state."""
    found = KEY.match(key)
    if not found:
        raise AdapterError(f"{key} is no weight of an adapter that changes matrices; load the adapter's own folder.")
    return Place(int(found[1]), found[2])


def matrix(layers: nn.ModuleList, place: Place) -> nn.Module:
    """The module of a place; of a PEFT layer, the module that it wraps."""
    found: Any = layers[place.layer].get_submodule(place.name)
    return found.get_base_layer() if hasattr(found, "get_base_layer") else found  # type: ignore[no-any-return]


def scaling_of(config: Any) -> float:
    """Factor of B A of an adapter of the LoRA family."""
    if config.alpha_pattern or config.rank_pattern:
        raise AdapterError(
            "An adapter with its own rank or alpha per layer (rank_pattern, alpha_pattern) has no single scaling; it "
            "cannot be stacked with others. Train it with one rank and one alpha."
        )
    return float(config.lora_alpha / (math.sqrt(config.r) if config.use_rslora else config.r))


def adapter_deltas(config: PeftConfig, state: Mapping[str, Tensor], layers: nn.ModuleList) -> dict[Place, Delta]:
    """What an adapter adds, by place.

    Parameters
    ----------
    config, state
        An adapter of a kind that changes weights, as it was saved.
    layers : nn.ModuleList
        The decoder layers of its base: DoRA and SVF need their weights, dequantised if need be.

    Raises
    ------
    AdapterError
        For virtual tokens, which are no change of a matrix, and for keys that are no adapter's.
    """
    kind = kind_of(config)
    if kind.needs_full_model:
        raise AdapterError(
            f"An adapter of kind {kind.name} is made of virtual tokens: it changes the text, not the matrices, and "
            "cannot be summed with others. Mix its predictions with an output mixture instead."
        )
    parts: dict[Place, dict[str, Tensor]] = {}
    for key, value in state.items():
        parts.setdefault(place_of(key), {})[key.removesuffix(".weight").rpartition(".")[2]] = value
    if kind.name == "ia3":
        return {place: _gain(part["ia3_l"]) for place, part in parts.items()}
    if kind.name == "svf":
        renormalise = bool(getattr(config, "renormalise", False))
        return {place: _svf(part["svf_p"], renormalise, matrix(layers, place)) for place, part in parts.items()}
    scaling = scaling_of(config)
    if kind.name == "dora":
        return {place: _dora(part, scaling, matrix(layers, place)) for place, part in parts.items()}
    return {place: Delta(part["lora_A"], part["lora_B"], scaling) for place, part in parts.items()}


def _gain(learnt: Tensor) -> Delta:
    """IA³ keeps gains of outputs as columns and gains of inputs as rows."""
    less = learnt.flatten() - 1
    return Delta(gain=less) if learnt.shape[1] == 1 else Delta(input_gain=less)


@torch.no_grad()
def _svf(p: Tensor, renormalise: bool, module: nn.Module) -> Delta:
    from llm_experts.adapters.svf import dense_weight, spectrum_of
    from llm_experts.adapters.svf.multipliers import offsets

    spectrum = spectrum_of(dense_weight(module))
    return Delta(multiplier=offsets(p.to(spectrum.s), spectrum.s[: len(p)], renormalise), spectrum=spectrum)


@torch.no_grad()
def _dora(part: Mapping[str, Tensor], scaling: float, module: nn.Module) -> Delta:
    from llm_experts.adapters.svf import dense_weight

    a, b = part["lora_A"], part["lora_B"]
    weight = dense_weight(module).float()
    norm = torch.linalg.vector_norm(weight + scaling * (b.float() @ a.float()).to(weight.device), dim=1)
    ratio = part["lora_magnitude_vector"].to(norm.device) / norm
    bias = getattr(module, "bias", None)
    return Delta(a, ratio[:, None].to(b) * b, scaling, ratio - 1, None if bias is None else (1 - ratio) * bias.detach())
