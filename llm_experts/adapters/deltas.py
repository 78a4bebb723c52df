"""What an adapter of any kind that changes matrices adds at each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from llm_experts.adapters.delta import Delta, Place, matrix, part_of
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.registry import kind_of

if TYPE_CHECKING:
    from peft import PeftConfig


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
    if kind.delta is None:
        raise AdapterError(f"Nothing says what an adapter of kind {kind.name} adds to a matrix: its KIND has no delta.")
    parts: dict[Place, dict[str, Tensor]] = {}
    for key, value in state.items():
        place, part = part_of(key)
        if part not in kind.parts:
            raise AdapterError(f"{key} is no weight of an adapter of kind {kind.name}; load the adapter's own folder.")
        parts.setdefault(place, {})[part] = value
    return {place: kind.delta(part, config, matrix(layers, place)) for place, part in parts.items()}
