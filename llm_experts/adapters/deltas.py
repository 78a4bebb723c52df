"""What an adapter of any kind that changes matrices adds at each of them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from llm_experts.adapters.delta import Delta, Place, matrix, part_of
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.registry import kind_of

if TYPE_CHECKING:
    from peft import PeftConfig

PREFIX = "base_model.model."
"""What PEFT writes before the name that a matrix has in the base."""


def adapter_deltas(config: PeftConfig, state: Mapping[str, Tensor], layers: nn.ModuleList | None) -> dict[Place, Delta]:
    """What an adapter adds, by place.

    Parameters
    ----------
    config, state
        An adapter of a kind that changes weights, as it was saved; matrices may have ranks and alphas of their own.
    layers : nn.ModuleList or None
        The decoder layers of its base: DoRA and SVF need their weights, dequantised if need be; others go without.

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
    keys: dict[Place, str] = {}
    for key, value in state.items():
        place, part = part_of(key)
        if part not in kind.parts:
            raise AdapterError(f"{key} is no weight of an adapter of kind {kind.name}; load the adapter's own folder.")
        parts.setdefault(place, {})[part], keys[place] = value, key
    if getattr(config, "rank_pattern", None) or getattr(config, "alpha_pattern", None):
        return {
            place: _one_scaling(kind.delta(part, _config_at(config, keys[place]), _module(layers, place)))
            for place, part in parts.items()
        }
    return {place: kind.delta(part, config, _module(layers, place)) for place, part in parts.items()}


def _module(layers: nn.ModuleList | None, place: Place) -> nn.Module:
    return nn.Identity() if layers is None else matrix(layers, place)


def _config_at(config: Any, key: str) -> PeftConfig:
    """The configuration as it counts at the matrix of a key: with the rank and the alpha that patterns give it.

    The first pattern that the end of the matrix' name matches counts, as in PEFT (``utils.other.get_pattern_key``).
    """
    from peft.utils.other import get_pattern_key

    name = key.removesuffix(".weight").rpartition(".")[0].removeprefix(PREFIX)
    here = copy(config)
    here.r = config.rank_pattern.get(get_pattern_key(config.rank_pattern, name), config.r)
    here.lora_alpha = config.alpha_pattern.get(get_pattern_key(config.alpha_pattern, name), config.lora_alpha)
    return here  # type: ignore[no-any-return]


def _one_scaling(delta: Delta) -> Delta:
    """The same with its scaling in B: a bank has one scaling for all matrices of an adapter."""
    return delta if delta.b is None else replace(delta, b=delta.scaling * delta.b, scaling=1.0)
