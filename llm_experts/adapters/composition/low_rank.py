"""An adapter of any kind that changes matrices as one plain LoRA, exactly: for programs that read LoRA alone.

The terms of :class:`llm_experts.adapters.delta.Delta` at W = U diag(σ) Vᵀ, each of as low a rank as it has:

===================  =====================================================  ==============================
term                 as B A                                                 rank
===================  =====================================================  ==============================
scaling · B A        itself                                                 r
gain ⊙ W             unit columns times gain, the rows of W with a gain     gains that are not 0
W ⊙ input gain       columns of W times gain, unit rows                     input gains that are not 0
U (σ ⊙ z) Vᵀ         columns of U times σ ⊙ z, rows of Vᵀ                   multipliers z that are not 0
===================  =====================================================  ==============================

Terms together have the sum of their ranks, or the smaller side of the matrix if that is less.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from llm_experts.adapters.composition.weighted import WeightedAdapter, exact_lora
from llm_experts.adapters.delta import Delta, matrix
from llm_experts.adapters.deltas import adapter_deltas
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.svf import dense_weight

if TYPE_CHECKING:
    from peft import PeftConfig

Factors = tuple[Tensor, Tensor]
"""A [R, in] and B [out, R], float32."""


@torch.no_grad()
def as_lora(config: PeftConfig, state: Mapping[str, Tensor], layers: nn.ModuleList) -> WeightedAdapter:
    """The LoRA of scaling 1 that changes every matrix as the adapter does; its rank is that of the largest change.

    Parameters
    ----------
    config, state
        An adapter of a kind that changes weights, as it was saved.
    layers : nn.ModuleList
        The decoder layers of its base.

    Raises
    ------
    AdapterError
        For virtual tokens, and for an adapter that also adds a constant, which no LoRA does.
    """
    factors = {}
    for place, delta in adapter_deltas(config, state, layers).items():
        found = low_rank(delta, matrix(layers, place))
        if found is None:
            raise AdapterError(
                f"{place.name} has a bias, which the adapter scales with the rows; a LoRA cannot say so. Merge it "
                "into its base instead."
            )
        factors[place] = found
    return exact_lora(factors)


def low_rank(delta: Delta, module: nn.Module) -> Factors | None:
    """An adapter's ΔW at a module as a product B A; None if it also adds a constant, which no product is.

    Parameters
    ----------
    delta : Delta
    module : nn.Module
        Of the base, with the matrix that gains and multipliers refer to.

    Returns
    -------
    (A, B) or None
        [R, in] and [out, R], float32.
    """
    if _constant(delta, module):
        return None
    weight = dense_weight(module).float()
    factors = [*_own(delta), *_gains(delta, weight), *_spectral(delta)]
    a = torch.cat([weight[:0], *(factor[0] for factor in factors)])
    b = torch.cat([weight[:, :0], *(factor[1] for factor in factors)], 1)
    return _folded(a.contiguous(), b.contiguous())


def _constant(delta: Delta, module: nn.Module) -> bool:
    """Whether gain ⊙ bias + offset is anything but 0: DoRA's is 0 by its offset, IA³'s where there is no bias."""
    bias = getattr(module, "bias", None)
    parts = [] if delta.gain is None or bias is None else [delta.gain.float() * bias.detach().float()]
    parts += [] if delta.offset is None else [delta.offset.float()]
    return bool(parts) and bool(torch.stack(parts).sum(0).any())


def _own(delta: Delta) -> list[Factors]:
    if delta.a is None or delta.b is None:
        return []
    return [(delta.a.float(), delta.scaling * delta.b.float())]


def _gains(delta: Delta, weight: Tensor) -> list[Factors]:
    found = []
    if delta.gain is not None:
        rows = torch.nonzero(delta.gain)[:, 0]
        found.append((weight[rows], _unit(len(weight), rows, weight).T * delta.gain.float()[rows]))
    if delta.input_gain is not None:
        columns = torch.nonzero(delta.input_gain)[:, 0]
        scaled = weight[:, columns] * delta.input_gain.float()[columns]
        found.append((_unit(weight.shape[1], columns, weight), scaled))
    return found


def _unit(size: int, rows: Tensor, like: Tensor) -> Tensor:
    """[k, size] rows of the identity."""
    return torch.eye(size, device=like.device)[rows]


def _spectral(delta: Delta) -> list[Factors]:
    if delta.multiplier is None or delta.spectrum is None:
        return []
    u, s, v = delta.spectrum
    size = delta.multiplier.float() * s[: len(delta.multiplier)]
    kept = torch.nonzero(size)[:, 0]
    return [(v[:, kept].T, u[:, kept] * size[kept])]


def _folded(a: Tensor, b: Tensor) -> Factors:
    """No more rank than the matrix has: one factor is then the product, the other the identity."""
    out, width = len(b), a.shape[1]
    if len(a) <= min(out, width):
        return a, b
    product = (b.double() @ a.double()).float()
    if out <= width:
        return product, torch.eye(out, device=a.device)
    return torch.eye(width, device=a.device), product
