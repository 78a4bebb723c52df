"""Weights of three values: the absmean quantiser of BitNet b1.58 and its inverse, and its codes in bytes.

A matrix W is kept as codes q in {−1, 0, 1} and a scale (Ma et al., arXiv 2402.17764, equations 1 to 3):

    γ = mean |W|,    q = clip(round(W / γ), −1, 1),    W ≈ s q

with s = γ. BitNet adds a small number to γ against a division by 0; here a matrix of zeros has codes of 0, and no other
needs it, so that q(c W) = q(W) for every c > 0. A number midway between two codes goes to the even one, 0.

``scale="fitted"`` keeps the codes and takes the s that is best for them in squares, the mean of |W| where q is not 0
(ternary weight networks, Li et al., arXiv 1605.04711). With it ternary weights are quantised to themselves; with γ
their codes are, and their scale shrinks by the share of codes that are not 0.

Five codes are packed in a byte (3⁵ = 243), which is 1.6 bits a weight; log₂ 3 = 1.58 is the least that three equally
frequent values take. BitNet also rounds what enters a layer to 8 bits; that is not simulated here: the product is x Wᵀ.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from llm_experts.bases.error import BaseError

CODES_PER_BYTE = 5
POWERS = (81, 27, 9, 3, 1)
"""What a code of a byte counts, the first one most."""
BYTES = 3**CODES_PER_BYTE
"""Bytes that mean something; larger ones are damaged."""

Scale = Literal["absmean", "fitted"]


@dataclass(frozen=True, eq=False)
class Ternary:
    """A matrix of three values.

    Attributes
    ----------
    codes : [out, in] int8
        −1, 0 or 1.
    scales : [1, 1] or [out, ceil(in / group)] float32
        What a 1 stands for: in the whole matrix, or in so many successive inputs of a row.
    group : int or None
        Inputs that share a scale; None: all weights do.
    """

    codes: Tensor
    scales: Tensor
    group: int | None = None

    def dequantised(self) -> Tensor:
        """[out, in] float32 the matrix that the codes stand for."""
        return self.codes.float() * spread(self.scales, self.group, self.codes.shape[1])


@torch.no_grad()
def ternary(weight: Tensor, group: int | None = None, scale: Scale = "absmean") -> Ternary:
    """Round a matrix to three values.

    Parameters
    ----------
    weight : [out, in] floating
    group : int, optional
        Successive inputs of a row that share a scale; default: the whole matrix shares one.
    scale : {"absmean", "fitted"}
        What a 1 stands for: BitNet's γ, or what fits the codes best in squares.

    Returns
    -------
    Ternary

    Raises
    ------
    BaseError
        If a weight is no finite number, or the group is not at least 1.
    """
    if group is not None and group < 1:
        raise BaseError(f"A group of {group} weights is none; give at least 1, or None for one scale of the matrix.")
    if not bool(weight.isfinite().all()):
        raise BaseError("A weight is not finite, and its whole matrix would be lost with it; fetch the model again.")
    blocks = _blocks(weight.detach().double(), group)  # [..., size], filled up with 0
    sizes, counts = blocks.abs(), _counts(weight, group)
    gamma = sizes.sum(-1, keepdim=True) / counts
    codes = (blocks / torch.where(gamma > 0, gamma, 1.0)).round().clamp(-1, 1)
    kept = codes.abs().sum(-1, keepdim=True)
    found = gamma if scale == "absmean" else (sizes * codes.abs()).sum(-1, keepdim=True) / kept.clamp_min(1)
    rows, columns = weight.shape
    whole = codes.reshape(rows, -1)[:, :columns].to(torch.int8)
    return Ternary(whole, found.reshape((1, 1) if group is None else (rows, -1)).float(), group)


def spread(scales: Tensor, group: int | None, columns: int) -> Tensor:
    """[1, 1] or [out, in] the scale of every weight."""
    return scales if group is None else scales.repeat_interleave(group, dim=1)[:, :columns]


def _blocks(weight: Tensor, group: int | None) -> Tensor:
    if group is None:
        return weight.reshape(1, -1)
    return pad(weight, (0, -weight.shape[1] % group)).reshape(len(weight), -1, group)


def _counts(weight: Tensor, group: int | None) -> Tensor:
    """How many weights share each scale; the last group of a row may be shorter."""
    return _blocks(torch.ones_like(weight, dtype=torch.float64), group).sum(-1, keepdim=True)


def pack(codes: Tensor) -> Tensor:
    """[ceil(n / 5)] uint8 of n codes −1, 0, 1 of any shape, row by row; what is left of the last byte holds zeros."""
    flat = codes.flatten().to(torch.int16) + 1
    whole = pad(flat, (0, -len(flat) % CODES_PER_BYTE), value=1).reshape(-1, CODES_PER_BYTE)
    return (whole * torch.tensor(POWERS, dtype=torch.int16, device=codes.device)).sum(-1).to(torch.uint8)


def unpack(packed: Tensor, shape: tuple[int, int]) -> Tensor:
    """[out, in] int8 codes of their bytes; bytes above 242 are not looked for (:func:`check_packed`)."""
    codes: Tensor = _table(packed.device)[packed.int()]
    return codes.flatten()[: shape[0] * shape[1]].reshape(shape)


def check_packed(packed: Tensor, shape: tuple[int, int], what: str) -> None:
    """Raise :class:`BaseError` unless these bytes can be the codes of a matrix."""
    size = -(-shape[0] * shape[1] // CODES_PER_BYTE)
    if packed.dtype != torch.uint8 or packed.shape != (size,):
        raise BaseError(
            f"{what} has codes of shape {tuple(packed.shape)} ({packed.dtype}) for a matrix of {shape[0]} x {shape[1]} "
            f"weights, which takes {size} bytes; copy the whole model again."
        )
    if packed.numel() and int(packed.max()) >= BYTES:
        raise BaseError(f"{what} has bytes that stand for no codes; the file is damaged, copy the model again.")


@cache
def _table(device: torch.device) -> Tensor:
    """[256, 5] int8 codes of every byte; those above 242 mean nothing."""
    every = torch.arange(256, device=device)[:, None] // torch.tensor(POWERS, device=device)
    return (every % 3 - 1).to(torch.int8)
