"""Quantised weights that any program can multiply with: lanes, derivatives, any number of dimensions.

The modules of bitsandbytes cannot be mapped over lanes. ``torch.vmap`` leads past the derivatives that their 4-bit
product defines: right on a CPU, whose kernel happens to be differentiable, and lost without a word elsewhere. The 8-bit
ones also round what enters them, with outliers found over a whole batch, so that the answer to a row depends on the
rows beside it. Here the codes stay as bitsandbytes made them, and the product is taken with the matrix that they
stand for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

LARGEST = 127
"""INT8 code of the largest weight of a row."""


class QuantisedLinear(nn.Linear):
    """A linear module that keeps codes and makes its weight of them whenever it is asked for.

    Parameters
    ----------
    shape : (int, int)
        Outputs and inputs.
    bias : [out] or None
    dtype : torch.dtype
        Of the weight and of the product.
    """

    def __init__(self, shape: tuple[int, int], bias: Tensor | None, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.out_features, self.in_features = shape
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias.detach(), requires_grad=False))
        self.dtype = dtype

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """[out, in] the matrix that the codes stand for."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """[..., out] of [..., in], in the dtype of the input."""
        product = _product(x.to(self.dtype), self)
        return (product if self.bias is None else product + self.bias).to(x.dtype)


class EightBitLinear(QuantisedLinear):
    """INT8 codes [out, in] and the largest size of a weight of each row [out]."""

    codes: Tensor
    scales: Tensor

    def __init__(self, codes: Tensor, scales: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        super().__init__((len(codes), codes.shape[1]), bias, dtype)
        self.register_buffer("codes", codes.detach())
        self.register_buffer("scales", scales.detach().float())

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """[out, in] the matrix that the codes stand for."""
        return (self.codes.float() * (self.scales / LARGEST)[:, None]).to(self.dtype)


class FourBitLinear(QuantisedLinear):
    """4-bit codes of bitsandbytes, with the state that says what they mean."""

    def __init__(self, codes: nn.Parameter, bias: Tensor | None, dtype: torch.dtype) -> None:
        super().__init__(tuple(cast(Any, codes).quant_state.shape), bias, dtype)
        self.codes = codes

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """[out, in] the matrix that the codes stand for."""
        from bitsandbytes.functional import dequantize_4bit

        found: Tensor = dequantize_4bit(self.codes.data, cast(Any, self.codes).quant_state)
        return found.to(self.dtype)


def quantised_modules(model: nn.Module) -> Iterator[tuple[str, QuantisedLinear]]:
    """Modules that keep codes, by their names."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, QuantisedLinear))


def holds_codes(model: nn.Module) -> bool:
    """Whether weights of a model are kept as codes."""
    return next(quantised_modules(model), None) is not None


def weight_bytes(model: nn.Module) -> int:
    """Bytes that the weights of a model take, codes and scales as they are kept; shared ones once."""
    held = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    for _, module in quantised_modules(model):
        state = getattr(getattr(module, "codes", None), "quant_state", None)
        for own in (state, getattr(state, "state2", None)):
            held |= {id(value): value for value in vars(own).values() if isinstance(value, Tensor)} if own else {}
    return sum(tensor.numel() * tensor.element_size() for tensor in held.values())


class _Product(torch.autograd.Function):
    """x Wᵀ that keeps the codes for the backward pass, not the matrix."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, module: QuantisedLinear) -> Tensor:
        return x @ module.weight.T

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, QuantisedLinear], output: Tensor) -> None:  # noqa: ARG004
        ctx.module = inputs[1]

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        return upstream[0] @ ctx.module.weight, None


def _product(x: Tensor, module: QuantisedLinear) -> Tensor:
    apply: Any = _Product.apply
    found: Tensor = apply(x, module)
    return found


def make_differentiable(model: nn.Module, dtype: torch.dtype) -> None:
    """Put a :class:`QuantisedLinear` in the place of every quantised module of bitsandbytes."""
    makers = {"Linear8bitLt": _eight_bit, "Linear4bit": _four_bit}
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child).__name__ in makers:
                setattr(parent, name, makers[type(child).__name__](child, dtype))


def _eight_bit(module: Any, dtype: torch.dtype) -> EightBitLinear:
    held = module.weight if module.weight.CB is not None else module.state
    return EightBitLinear(held.CB, held.SCB, module.bias, dtype)


def _four_bit(module: Any, dtype: torch.dtype) -> FourBitLinear:
    return FourBitLinear(module.weight, module.bias, dtype)
