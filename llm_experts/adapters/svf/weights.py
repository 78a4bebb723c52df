"""The matrix that a linear module multiplies with, whatever form it is stored in."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers.pytorch_utils import Conv1D

from llm_experts.adapters.error import AdapterError
from llm_experts.bases.error import BaseError
from llm_experts.bases.quantised import QuantisedLinear
from llm_experts.bases.ternary.files import bitnet_weight, is_bitnet

CPU_TILE = 32
"""Output rows whose 4-bit codes bitsandbytes interleaves for the CPU."""


def dense_weight(module: nn.Module) -> Tensor:
    """[out, in] floating weight of a linear module, so that the module computes x Wᵀ + b.

    Quantised weights are dequantised: bitsandbytes' NF4, FP4 and INT8 (and what else PEFT can dequantise), and the
    ternary weights s · {−1, 0, 1} of BitNet. Ternary and INT8 modules also round their input, which no matrix shows.

    Raises
    ------
    AdapterError
        If the module is not linear, or its weight cannot be dequantised.
    """
    if is_bitnet(module):
        return _ternary_weight(module)
    if isinstance(module, Conv1D):
        return module.weight.detach().T
    if isinstance(module, QuantisedLinear):
        return module.weight
    quantised = _dequantised(module)
    if quantised is not None:
        return quantised.detach()
    if isinstance(module, nn.Linear) and type(module).forward is nn.Linear.forward and _floating(module.weight):
        return module.weight.detach()
    raise AdapterError(
        f"A module of type {type(module).__name__} has no matrix that could be decomposed: SVF adapts linear modules, "
        "plain or quantised by bitsandbytes or BitNet. Leave it out of target_modules."
    )


def is_quantised(module: nn.Module) -> bool:
    """Whether a module stores its weight in another form than the floating matrix that it multiplies with."""
    return not isinstance(module, Conv1D) and type(module).forward is not nn.Linear.forward


def _floating(weight: Tensor) -> bool:
    return weight.is_floating_point() and weight.device.type != "meta"


def _dequantised(module: nn.Module) -> Tensor | None:
    """The float weight of a quantised module, None if it is not quantised."""
    from peft.utils.quantization_utils import resolve_quantization_backend

    backend = resolve_quantization_backend(module)
    if backend is None:
        return None
    weight: Any = module.weight
    four, eight = (type(weight).__name__ == name for name in ("Params4bit", "Int8Params"))
    if (four and weight.quant_state is None) or (eight and _floating(weight)):
        raise AdapterError(
            "A weight that bitsandbytes is to quantise is not quantised yet; move the model to its device first."
        )
    if four:
        return _four_bit_weight(weight)
    try:
        return backend.get_base_weight(module)
    except (TypeError, NotImplementedError) as error:
        raise AdapterError(
            f"Weights of type {type(module).__name__} ({backend.backend_name}) cannot be dequantised ({error}), and "
            "singular values need the weight; load the base in NF4, INT8 or without quantisation."
        ) from error


def settle(module: nn.Module) -> None:
    """Keep bitsandbytes from rearranging a 4-bit weight in place, and undo it where it has happened.

    On a CPU with AVX512-BF16, the first pass without gradient rearranges codes and scales and rounds the scales to
    bfloat16. Dequantisation by bitsandbytes and PEFT then returns another matrix without a word, and the next
    ``state_dict()`` leaves behind weights that are slightly or, without double quantisation, utterly wrong. Other
    kernels leave the weight alone.
    """
    weight: Any = getattr(module, "weight", None)
    if type(weight).__name__ != "Params4bit" or weight.quant_state is None:
        return
    if hasattr(module, "support_avx512bf16_for_cpu"):
        cast(Any, module).support_avx512bf16_for_cpu = False
    state = weight.quant_state
    if not _rearranged(state):
        return
    codes, scales = _codes_and_scales(weight)
    pairs = codes.reshape(-1, 2)
    stored = ((pairs[:, 0] << 4) | pairs[:, 1]).reshape(state.original_qshape)
    weight.data = stored.view(getattr(state, "original_storage_type", torch.uint8))
    state.absmax, state.dtype, state.packing_format_for_cpu = scales.flatten().float(), state.original_dtype, False


def _rearranged(state: Any) -> bool:
    return bool(getattr(state, "packing_format_for_cpu", False))


def _four_bit_weight(weight: Any) -> Tensor:
    """A 4-bit weight of bitsandbytes: a table's entry times the largest size of its block.

    Scales are rounded to bfloat16, as :func:`settle` has to accept them: a weight is the same matrix before and after
    its first use.
    """
    state = weight.quant_state
    rows, columns = state.shape
    codes, scales = _codes_and_scales(weight)
    values: Tensor = state.code.float()[codes.long()] * scales.to(torch.bfloat16).float()[:, None]
    dtype = state.original_dtype if _rearranged(state) else state.dtype
    return values.flatten()[: rows * columns].reshape(rows, columns).to(dtype)


def _codes_and_scales(weight: Any) -> tuple[Tensor, Tensor]:
    """[blocks, size] entries of the table and [blocks] scales, row by row of the weight, in either layout."""
    state, stored = weight.quant_state, weight.data.view(torch.uint8)
    rows, columns = state.shape
    if _rearranged(state):
        pairs = stored.reshape(-1, CPU_TILE)
        tiles = torch.cat([pairs & 15, pairs >> 4], 1).reshape(rows // CPU_TILE, columns // 2, CPU_TILE, 2)
        scales: Tensor = state.absmax.T.flatten()
        return tiles.transpose(1, 2).reshape(-1, state.blocksize), scales
    flat, scales = stored.reshape(-1), _block_scales(state)
    codes = torch.stack([flat >> 4, flat & 15], 1).flatten()
    return pad(codes, (0, len(scales) * state.blocksize - len(codes))).reshape(-1, state.blocksize), scales


def _block_scales(state: Any) -> Tensor:
    """[blocks] largest size of each block; bitsandbytes can quantise these numbers too."""
    if not state.nested:
        return cast(Tensor, state.absmax)
    from bitsandbytes.functional import dequantize_blockwise

    return cast(Tensor, dequantize_blockwise(state.absmax, state.state2) + state.offset)


def _ternary_weight(module: Any) -> Tensor:
    """Weight s · {−1, 0, 1} of the two BitNet modules of transformers."""
    try:
        found = bitnet_weight(module)
    except BaseError as error:
        raise AdapterError(f"{error} Leave it out of target_modules.") from error
    plain = module.weight_scale if module.weight.dtype == torch.uint8 else module.weight
    return found.dequantised().to(plain.dtype)


def linear_of(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A frozen linear module with this weight [out, in]; draws no random numbers."""
    module = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    module.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if bias is not None:
        module.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return module
