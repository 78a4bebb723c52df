"""Rounding the weights of a base that is in memory: its layers, not its embedding and its head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import nn

from llm_experts.bases.base import Base
from llm_experts.bases.error import BaseError
from llm_experts.bases.quantised import EightBitLinear, FourBitLinear, QuantisedLinear, holds_codes
from llm_experts.bases.sharing import shared_copy
from llm_experts.bases.ternary import Scale, TernaryLinear, ternary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Maker = Callable[[nn.Linear], QuantisedLinear]


def quantised(base: Base, to: str, *, group: int | None = None, scale: Scale = "absmean") -> Base:
    """The base with quantised weights; it itself stays as it is.

    Parameters
    ----------
    base : Base
        Not quantised.
    to : {"ternary", "nf4", "int8"}
        As :func:`llm_experts.bases.load.load_base` would quantise the same weights.
    group, scale
        Of ternary weights, as :func:`llm_experts.bases.ternary.ternary` takes them.

    Raises
    ------
    BaseError
        If there is no such quantisation, the base is quantised, or a weight is not finite.
    """
    model = shared_copy(base.model)
    quantise_layers(model, to, group=group, scale=scale)
    return replace(base, model=model, quantisation=to)


def quantise_layers(model: PreTrainedModel, to: str, *, group: int | None = None, scale: Scale = "absmean") -> None:
    """The same, in place: one matrix after the other, each given up before the next is made."""
    makers: dict[str, Maker] = {
        "ternary": lambda linear: TernaryLinear.of(
            ternary(linear.weight, group, scale), linear.bias, linear.weight.dtype
        ),
        "nf4": _four_bit,
        "int8": _eight_bit,
    }
    if to not in makers:
        raise BaseError(f"There is no quantisation {to!r}; choose one of {', '.join(makers)}.")
    if holds_codes(model):
        raise BaseError("The weights are quantised already; dequantise them first (fairmoe llm dequantize).")
    for name in linear_names(model):
        linear: Any = model.get_submodule(name)
        model.set_submodule(name, makers[to](linear))


def linear_names(model: PreTrainedModel) -> list[str]:
    """Names of the linear modules that quantisation takes: all but the head, and what shares its weights."""
    from transformers.quantizers.base import get_keys_to_not_convert

    spared = set(get_keys_to_not_convert(model))
    return [name for name, module in model.named_modules() if type(module) is nn.Linear and name not in spared]


def _four_bit(linear: nn.Linear) -> FourBitLinear:
    import bitsandbytes.nn as library

    make: Any = vars(library)["Params4bit"]
    codes = make(linear.weight.detach().clone(), requires_grad=False, quant_type="nf4", compress_statistics=True)
    return FourBitLinear(codes.to(linear.weight.device), linear.bias, linear.weight.dtype)


def _eight_bit(linear: nn.Linear) -> EightBitLinear:
    from bitsandbytes.functional import int8_vectorwise_quant

    codes, scales, _ = int8_vectorwise_quant(linear.weight.detach().half())
    return EightBitLinear(codes, scales, linear.bias, linear.weight.dtype)
