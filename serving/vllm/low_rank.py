"""What an adapter adds to a matrix, written exactly as a product of two matrices: all that vLLM can add.

The terms of :class:`llm_experts.adapters.delta.Delta` at W = U diag(σ) Vᵀ, each of as low a rank as it has:

===================  =====================================================  ==============================
term                 as B A                                                 rank
===================  =====================================================  ==============================
scaling · B A        itself                                                 r
gain ⊙ W             unit columns times gain, the rows of W with a gain     gains that are not 0
W ⊙ input gain       columns of W times gain, unit rows                     input gains that are not 0
U (σ ⊙ z) Vᵀ         columns of U times σ ⊙ z, rows of Vᵀ                   multipliers z that are not 0
===================  =====================================================  ==============================

Terms together have the sum of their ranks, or the smaller side of the matrix if that is less.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from llm_experts.adapters.delta import Delta
from llm_experts.adapters.svf.weights import dense_weight

Factor = tuple[Tensor, Tensor]


class LowRank(NamedTuple):
    """ΔW = B A, float32.

    Attributes
    ----------
    a : [r, in]
    b : [out, r]
    """

    a: Tensor
    b: Tensor

    @property
    def rank(self) -> int:
        """Columns of B."""
        return len(self.a)

    def padded(self, rank: int) -> LowRank:
        """The same product with zeros up to a rank."""
        more = rank - self.rank
        return LowRank(nn.functional.pad(self.a, (0, 0, 0, more)), nn.functional.pad(self.b, (0, more)))


def low_rank(delta: Delta, module: nn.Module) -> LowRank | None:
    """An adapter's ΔW at a module as a product; None if it also adds a constant, which no product is.

    Parameters
    ----------
    delta : Delta
    module : nn.Module
        Of the base, with the matrix that gains and multipliers refer to.
    """
    if _constant(delta, module):
        return None
    weight = dense_weight(module).float()
    factors = [*_own(delta), *_gains(delta, weight), *_spectral(delta)]
    out, width = weight.shape
    a = torch.cat([factor[0] for factor in factors]) if factors else weight.new_zeros(0, width)
    b = torch.cat([factor[1] for factor in factors], 1) if factors else weight.new_zeros(out, 0)
    return _folded(LowRank(a.contiguous(), b.contiguous()))


def _constant(delta: Delta, module: nn.Module) -> bool:
    """Whether gain ⊙ bias + offset is anything but 0: DoRA's is 0 by its offset, IA³'s where there is no bias."""
    bias = getattr(module, "bias", None)
    added = torch.zeros(1)
    if delta.gain is not None and bias is not None:
        added = added + delta.gain.float() * bias.detach().float()
    if delta.offset is not None:
        added = added + delta.offset.float()
    return bool((added.abs() > 0).any())


def _own(delta: Delta) -> list[Factor]:
    if delta.a is None or delta.b is None:
        return []
    return [(delta.a.float(), delta.scaling * delta.b.float())]


def _gains(delta: Delta, weight: Tensor) -> list[Factor]:
    found = []
    if delta.gain is not None:
        rows = torch.nonzero(delta.gain)[:, 0]
        found.append((weight[rows], torch.eye(len(weight))[:, rows] * delta.gain.float()[rows]))
    if delta.input_gain is not None:
        columns = torch.nonzero(delta.input_gain)[:, 0]
        found.append((torch.eye(weight.shape[1])[columns], weight[:, columns] * delta.input_gain.float()[columns]))
    return found


def _spectral(delta: Delta) -> list[Factor]:
    if delta.multiplier is None or delta.spectrum is None:
        return []
    spectrum = delta.spectrum
    size = delta.multiplier.float() * spectrum.s[: len(delta.multiplier)]
    kept = torch.nonzero(size)[:, 0]
    return [(spectrum.v[:, kept].T, spectrum.u[:, kept] * size[kept])]


def _folded(found: LowRank) -> LowRank:
    """No more rank than the matrix has: one factor is then the product, the other the identity."""
    out, width = len(found.b), found.a.shape[1]
    if found.rank <= min(out, width):
        return found
    product = found.b @ found.a
    return LowRank(product, torch.eye(out)) if out <= width else LowRank(torch.eye(width), product)
