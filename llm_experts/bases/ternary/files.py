"""Ternary bases on disk: the project's own format, and BitNet checkpoints as transformers knows them.

The own format is a model's folder of safetensors in which a matrix W of a layer is two tensors: ``codes`` (uint8, five
codes a byte) and ``scales`` (float32). ``quantization_config`` of ``config.json`` names it (:data:`METHOD`), the inputs
that share a scale (``group``), and the modules that are kept so (``modules``). Everything else is as it was.

A BitNet checkpoint (``quant_method`` ``bitnet``) has four codes a byte, four blocks of rows above each other. Its
modules round what enters them to 8 bits and need a compiler; they are replaced by :class:`TernaryLinear`, which does
neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from foundation.files import atomic_path
from llm_experts.bases.base import Base
from llm_experts.bases.error import BaseError
from llm_experts.bases.quantised import quantised_modules
from llm_experts.bases.quiet import quiet
from llm_experts.bases.sharing import shared_copy
from llm_experts.bases.ternary.absmean import Ternary, check_packed
from llm_experts.bases.ternary.linear import TernaryLinear

if TYPE_CHECKING:
    from transformers import PreTrainedModel

METHOD = "fairmoe_ternary"
FORMAT = 1
BITNET = "transformers.integrations.bitnet"
BITNET_PER_BYTE = 4
SMALLEST = 1e-5
"""Mean size of a matrix's weights below which BitNet's own quantiser takes this instead."""


def stored_quantisation(config: Mapping[str, Any]) -> str:
    """The ternary format of a folder's ``config.json``: ``fairmoe_ternary`` or ``bitnet``; "" if it is none."""
    told = config.get("quantization_config")
    method = str(told.get("quant_method", "")) if isinstance(told, Mapping) else ""
    return method if method in (METHOD, "bitnet") else ""


def write_ternary(base: Base, folder: Path) -> None:
    """Write a base with ternary weights as a folder that ``load_base`` reads, whole or not at all.

    Raises
    ------
    BaseError
        If its layers are not ternary.
    """
    found = {name: module for name, module in quantised_modules(base.model) if isinstance(module, TernaryLinear)}
    groups = {module.group for module in found.values()}
    if not found or len(groups) != 1:
        raise BaseError(f"{base.id} has no ternary weights that could be written; load it with quantisation='ternary'.")
    model: Any = shared_copy(base.model)  # with a configuration of its own
    model.config.quantization_config = {
        "quant_method": METHOD, "format": FORMAT, "group": groups.pop(), "modules": sorted(found),
    }  # fmt: skip
    with atomic_path(folder) as made, quiet():
        model.save_pretrained(made, safe_serialization=True)
        base.tokenizer.save_pretrained(made)


@cache
def register() -> None:
    """Tell transformers how the own format is read; it then fills codes and scales as it fills all else."""
    from transformers.quantizers.auto import register_quantization_config, register_quantizer
    from transformers.quantizers.base import HfQuantizer
    from transformers.utils.quantization_config import QuantizationConfigMixin

    @register_quantization_config(METHOD)
    class TernaryConfig(QuantizationConfigMixin):  # type: ignore[misc, no-untyped-call, unused-ignore]
        def __init__(self, group: Any = None, modules: Any = (), format: Any = FORMAT, **_: Any) -> None:
            self.quant_method: Any = METHOD
            self.group, self.modules, self.format = _checked(group, modules, format)

    @register_quantizer(METHOD)
    class TernaryQuantizer(HfQuantizer):  # type: ignore[misc, no-untyped-call, unused-ignore]
        def _process_model_before_weight_loading(self, model: Any, **_: Any) -> None:
            make_room(model, self.quantization_config)

        def is_serializable(self) -> bool:
            return True

        @property
        def is_trainable(self) -> bool:
            return False


def _checked(group: Any, modules: Any, format: Any) -> tuple[int | None, list[str], int]:
    if format != FORMAT:
        raise ValueError(f"its ternary weights have the format {format!r:.40}, and this version reads {FORMAT}")
    if not (group is None or (type(group) is int and group >= 1)):
        raise ValueError(f"its ternary weights have groups of {group!r:.40}, which is no number of inputs")
    if not (isinstance(modules, list) and modules and all(isinstance(name, str) for name in modules)):
        raise ValueError("its config.json does not list which modules are ternary")
    return group, modules, FORMAT


def make_room(model: nn.Module, config: Any) -> None:
    """Put an empty :class:`TernaryLinear` in the place of every module that a configuration lists."""
    known = dict(model.named_modules())
    for name in config.modules:
        linear: Any = known.get(name)
        if type(linear) is not nn.Linear:
            raise ValueError(f"its config.json lists {name[:80]!r} as ternary, which is no linear module of it")
        shape = (linear.out_features, linear.in_features)
        made = TernaryLinear.empty(shape, config.group, linear.bias, linear.weight.dtype)
        model.set_submodule(name, made)


def settle_ternary(id: str, model: PreTrainedModel, dtype: torch.dtype) -> None:
    """After loading: BitNet's modules become the project's own, and codes of damaged files are refused.

    Raises
    ------
    BaseError
        If bytes stand for no codes, or a module normalises its own input.
    """
    for name, module in list(model.named_modules()):
        if is_bitnet(module):
            bias: Any = module.bias
            model.set_submodule(name, TernaryLinear.of(bitnet_weight(module), bias, dtype))
        elif isinstance(module, TernaryLinear):
            check_packed(module.codes, (module.out_features, module.in_features), f"{name} of {id}")
    _forget_quantiser(model)


def is_bitnet(module: nn.Module) -> bool:
    """Whether this is one of transformers' two modules of BitNet weights."""
    return type(module).__module__ == BITNET and type(module).__name__ in ("BitLinear", "AutoBitLinear")


def bitnet_weight(module: Any) -> Ternary:
    """Codes and scale of the two BitNet modules of transformers (Ma et al., arXiv 2402.17764).

    Raises
    ------
    BaseError
        If the module normalises its own input, so that it is not linear in it, or its weights are not ternary.
    """
    if module.rms_norm is not None:
        raise BaseError("A BitNet module that normalises its own input is not linear in it, and no matrix says it.")
    if module.weight.dtype == torch.uint8:  # packed: four rows in a byte, and the scale is 1 / s
        rows = [(module.weight >> 2 * i) & 3 for i in range(BITNET_PER_BYTE)]
        return _given(torch.cat(rows).float() - 1, 1 / module.weight_scale)
    weight: Tensor = module.weight.detach().float()
    if not module.online_quant:
        return _given(weight, module.weight_scale)
    mean = weight.abs().mean().clamp_min(SMALLEST)
    return _given((weight / mean).round().clamp(-1, 1), mean)


def _given(codes: Tensor, scale: Tensor) -> Ternary:
    found = codes.to(torch.int8)
    if not bool(((found == codes) & (found.abs() <= 1)).all()):
        raise BaseError(
            "A BitNet module has weights other than -1, 0 and 1: its file is damaged, copy the model again."
        )
    return Ternary(found, scale.detach().float().reshape(1, 1))


def _forget_quantiser(model: Any) -> None:
    """Take off what says that a library's own quantiser runs the model: its modules are no longer there."""
    method = getattr(model, "quantization_method", None)
    if str(getattr(method, "value", method)) in (METHOD, "bitnet"):
        model.hf_quantizer.remove_quantization_config(model)
