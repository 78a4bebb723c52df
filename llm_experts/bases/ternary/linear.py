"""Modules that keep ternary codes and multiply with the matrix that these stand for."""

from __future__ import annotations

import torch
from torch import Tensor

from llm_experts.bases.quantised import QuantisedLinear
from llm_experts.bases.ternary.absmean import CODES_PER_BYTE, Ternary, pack, unpack


class TernaryLinear(QuantisedLinear):
    """Codes of three values, five to a byte, and their scales.

    Parameters
    ----------
    codes : [ceil(out · in / 5)] uint8
    scales : [1, 1] or [out, groups] float32
    shape : (int, int)
        Outputs and inputs.
    group : int or None
    bias : [out] or None
    dtype : torch.dtype
        Of the weight and of the product.
    """

    codes: Tensor
    scales: Tensor

    def __init__(
        self,
        codes: Tensor,
        scales: Tensor,
        shape: tuple[int, int],
        group: int | None,
        bias: Tensor | None,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(shape, bias, dtype)
        self.group = group
        self.register_buffer("codes", codes.detach())
        self.register_buffer("scales", scales.detach().float())

    @classmethod
    def of(cls, given: Ternary, bias: Tensor | None, dtype: torch.dtype) -> TernaryLinear:
        """A module that multiplies with a matrix of three values."""
        rows, columns = given.codes.shape
        return cls(pack(given.codes), given.scales, (rows, columns), given.group, bias, dtype)

    @classmethod
    def empty(
        cls, shape: tuple[int, int], group: int | None, bias: Tensor | None, dtype: torch.dtype, device: str = "meta"
    ) -> TernaryLinear:
        """One whose codes and scales are read next."""
        codes = torch.empty(-(-shape[0] * shape[1] // CODES_PER_BYTE), dtype=torch.uint8, device=device)
        scales = (1, 1) if group is None else (shape[0], -(-shape[1] // group))
        return cls(codes, torch.empty(scales, device=device), shape, group, bias, dtype)

    @property
    def ternary(self) -> Ternary:
        """The matrix as codes and scales."""
        return Ternary(unpack(self.codes, (self.out_features, self.in_features)), self.scales, self.group)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """[out, in] the matrix that the codes stand for."""
        return self.ternary.dequantised().to(self.dtype)
