"""INT8 weights that any program can multiply with: lanes, derivatives, any number of dimensions.

The INT8 modules of bitsandbytes also round what enters them, with outliers found over a whole batch: the answer to a
row depends on the rows beside it, ``torch.vmap`` cannot map them, and inputs of four dimensions fail. Here the codes
stay as bitsandbytes made them, one byte a weight, and the product is taken with the matrix that they stand for.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

LARGEST = 127
"""Code of the largest weight of a row."""


class EightBitLinear(nn.Linear):
    """A linear module whose weight is made of INT8 codes and a scale per row whenever it is asked for.

    Parameters
    ----------
    codes : [out, in] int8
    scales : [out] float32
        Largest size of a weight of each row.
    bias : [out] or None
    dtype : torch.dtype
        Of the weight and of the product.
    """

    codes: Tensor
    scales: Tensor

    def __init__(self, codes: Tensor, scales: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.out_features, self.in_features = codes.shape
        self.register_buffer("codes", codes.detach())
        self.register_buffer("scales", scales.detach().float())
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.dtype = dtype

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """[out, in] the matrix that the codes stand for."""
        return (self.codes.float() * (self.scales / LARGEST)[:, None]).to(self.dtype)


def keep_inputs_whole(model: nn.Module, dtype: torch.dtype) -> None:
    """Put an :class:`EightBitLinear` in the place of every INT8 module of bitsandbytes."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child).__name__ == "Linear8bitLt":
                setattr(parent, name, _of_library(child, dtype))


def _of_library(module: nn.Module, dtype: torch.dtype) -> EightBitLinear:
    weight, state = cast(Any, module).weight, cast(Any, module).state
    codes, scales = (weight.CB, weight.SCB) if weight.CB is not None else (state.CB, state.SCB)
    return EightBitLinear(codes, scales, cast(Any, module).bias, dtype)
