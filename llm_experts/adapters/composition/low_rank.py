"""An adapter of any kind that changes matrices as one plain LoRA, exactly: for programs that read LoRA alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from llm_experts.adapters.composition.weighted import WeightedAdapter, exact_lora
from llm_experts.adapters.delta import Delta, Place, matrix
from llm_experts.adapters.deltas import adapter_deltas
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.svf import dense_weight

if TYPE_CHECKING:
    from peft import PeftConfig


@torch.no_grad()
def as_lora(config: PeftConfig, state: Mapping[str, Tensor], layers: nn.ModuleList) -> WeightedAdapter:
    """The LoRA of scaling 1 that changes every matrix as the adapter does.

    Its rank is the adapter's own for LoRA and rsLoRA, the number of tuned singular values for SVF, and min(out, in) of
    the largest matrix for IA³ and DoRA, which scale whole rows or columns: exact, and as large as the matrices.

    Parameters
    ----------
    config, state
        An adapter of a kind that changes weights, as it was saved.
    layers : nn.ModuleList
        The decoder layers of its base.

    Raises
    ------
    AdapterError
        For virtual tokens, and for a gain on a matrix with a bias, which it scales too and a LoRA cannot.
    """
    factors = dict[Place, tuple[Tensor, Tensor]]()
    for place, delta in adapter_deltas(config, state, layers).items():
        module = matrix(layers, place)
        if delta.gain is not None and delta.offset is None and getattr(module, "bias", None) is not None:
            raise AdapterError(
                f"{place.name} has a bias, which the adapter scales with the rows; a LoRA cannot say so. Merge it "
                "into its base instead."
            )
        factors[place] = _factors(delta, module)
    return exact_lora(factors)


def _factors(delta: Delta, module: nn.Module) -> tuple[Tensor, Tensor]:
    """A [R, in] and B [out, R] of what a delta adds to W x; B A as a whole where rows or columns are scaled."""
    if delta.gain is not None or delta.input_gain is not None:
        return _of_dense(_dense(delta, dense_weight(module).double()))
    a, b = list[Tensor](), list[Tensor]()
    if delta.a is not None and delta.b is not None:
        a.append(delta.a.float())
        b.append(delta.scaling * delta.b.float())
    if delta.multiplier is not None and delta.spectrum is not None:
        kept = torch.nonzero(delta.multiplier).flatten()
        u, s, v = delta.spectrum
        a.append(v[:, kept].T)
        b.append(u[:, kept] * (s[kept] * delta.multiplier[kept]))
    return torch.cat(a), torch.cat(b, 1)


def _dense(delta: Delta, weight: Tensor) -> Tensor:
    total = torch.zeros_like(weight)
    if delta.a is not None and delta.b is not None:
        total += delta.scaling * (delta.b.double() @ delta.a.double())
    if delta.gain is not None:
        total += delta.gain.double()[:, None] * weight
    if delta.input_gain is not None:
        total += weight * delta.input_gain.double()
    return total


def _of_dense(change: Tensor) -> tuple[Tensor, Tensor]:
    """The smaller identity and the change itself: nothing is rounded but to float32."""
    rows, columns = change.shape
    if rows <= columns:
        return change.float(), torch.eye(rows, device=change.device)
    return torch.eye(columns, device=change.device), change.float()
