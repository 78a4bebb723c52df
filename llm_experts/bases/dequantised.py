"""A base whose weights were kept as codes, with the float32 weights that those stand for.

What multiplies singular values, folds adapters or trains weights needs matrices. Codes stand for exactly one matrix
each, so nothing is lost here: what quantising had cost stays lost, and nothing is added to it.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foundation.files import atomic_path, write_json
from llm_experts.bases.base import Base
from llm_experts.bases.error import BaseError
from llm_experts.bases.quantised import QuantisedLinear, holds_codes, quantised_modules
from llm_experts.bases.quiet import quiet
from llm_experts.bases.sharing import shared_copy

ORIGIN = "fairmoe_origin.json"
"""File of a written base that says of what it was made."""


def dequantised(base: Base) -> Base:
    """The base with the float32 weights that its codes stand for; it itself stays as it is.

    Weights that are float32 already are shared with it. Bases of a GGUF file come with unpacked weights, which are
    converted to float32 if they are not.

    Returns
    -------
    Base
        ``quantisation`` is "none"; its hash is one of the hash, precision and quantisation of what it was made of.
    """
    model = shared_copy(base.model)
    for name, module in list(quantised_modules(model)):
        model.set_submodule(name, plain_linear(module))
    widen(model)
    _settle(model)
    dtype = str(base.model.dtype).removeprefix("torch.")
    made = hashlib.sha256(f"dequantised:{base.hash}:{base.quantisation}:{dtype}".encode()).hexdigest()
    return replace(base, model=model, hash=made, quantisation="none")


def plain_linear(module: QuantisedLinear) -> nn.Linear:
    """A linear module with the matrix that the codes of another one stand for; draws no random numbers."""
    found = nn.Linear(module.in_features, module.out_features, bias=module.bias is not None, device="meta")
    found.weight = nn.Parameter(module.weight.detach().float().contiguous(), requires_grad=False)
    if module.bias is not None:
        found.bias = nn.Parameter(module.bias.detach().float(), requires_grad=False)
    return found


def widen(model: nn.Module) -> None:
    """Make every floating weight and buffer float32, shared ones once; tensors that are so already are kept."""
    wide: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            if weight.is_floating_point() and weight.dtype != torch.float32:
                made = wide.setdefault(id(weight), nn.Parameter(weight.detach().float(), requires_grad=False))
                setattr(module, name, made)
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_floating_point() and buffer.dtype != torch.float32:
                setattr(module, name, buffer.float())


def _settle(model: Any) -> None:
    """Nothing says any more that the weights are quantised."""
    if getattr(model, "hf_quantizer", None) is not None:
        model.hf_quantizer.remove_quantization_config(model)
    for name in ("is_loaded_in_4bit", "is_loaded_in_8bit"):
        if hasattr(model, name):
            delattr(model, name)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.config.dtype = torch.float32


def write_base(base: Base, folder: Path, origin: dict[str, Any]) -> None:
    """Write a base as a folder of float32 weights that ``load_base`` reads, whole or not at all.

    Parameters
    ----------
    base : Base
        Not quantised.
    folder : Path
    origin : dict
        What it was made of (:data:`ORIGIN`), in JSON.
    """
    if holds_codes(base.model):
        raise BaseError(f"{base.id} keeps its weights as codes; write what dequantised() makes of it.")
    with atomic_path(folder) as made, quiet():
        base.model.save_pretrained(made, safe_serialization=True)
        base.tokenizer.save_pretrained(made)
        write_json(made / ORIGIN, origin)
