"""Lanes: K networks d–h–1 as one tensor, so that one matrix product serves them all.

Every lane is ``margin(x) = w2 · dropout(leaky_relu(W1 x + b1)) + b2`` and returns the logit margin of class 1. The
bias b1 is the weight of a feature that is always 1, so rows are handed over with a trailing column of ones
(:func:`with_ones`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from tasks.seeding import torch_generator

SLOPE = 0.01
"""Slope of the leaky ReLU for negative inputs."""

CHUNK_FLOATS = 1 << 20
"""Floats of hidden activations held at once when rows are worked through in chunks (4 MiB)."""


@dataclass
class LaneParameters:
    """Weights of K networks d–h–1, flat, so that an optimiser step is a handful of operations for all lanes.

    Attributes
    ----------
    theta : [K, h·(d+1) + h + 1] float32
        Row k holds W1 with b1 as its last column, then w2, then b2.
    n_features, hidden : int
        d and h.
    """

    theta: Tensor
    n_features: int
    hidden: int

    @classmethod
    def initial(cls, n_features: int, hidden: int, seeds: Sequence[int]) -> LaneParameters:
        """Uniform in ±1/√fan-in, as a PyTorch linear layer; lane k depends on seeds[k] alone."""
        first = hidden * (n_features + 1)
        bound = torch.full((first + hidden + 1,), hidden**-0.5)
        bound[:first] = max(n_features, 1) ** -0.5
        draws = [torch.rand(len(bound), generator=torch_generator(seed, "initial weights")) for seed in seeds]
        return cls((torch.stack(draws) * 2 - 1) * bound, n_features, hidden)

    def __len__(self) -> int:
        """Number of lanes."""
        return len(self.theta)

    def split(self) -> tuple[Tensor, Tensor, Tensor]:
        """W1 with b1 [K, h, d+1], w2 [K, h] and b2 [K, 1], differentiable views of theta."""
        first, second, offset = self.theta.split((self.hidden * (self.n_features + 1), self.hidden, 1), dim=1)
        return first.reshape(len(self), self.hidden, self.n_features + 1), second, offset

    @property
    def w1(self) -> Tensor:
        """[K, h, d] first layer."""
        return self.split()[0][..., :-1]

    @property
    def b1(self) -> Tensor:
        """[K, h] bias of the first layer."""
        return self.split()[0][..., -1]

    @property
    def w2(self) -> Tensor:
        """[K, h] second layer."""
        return self.split()[1]

    @property
    def b2(self) -> Tensor:
        """[K] bias of the second layer."""
        return self.split()[2][:, 0]

    def select(self, lanes: Tensor | Sequence[int]) -> LaneParameters:
        """Copy of some lanes, in the given order."""
        return LaneParameters(self.theta[torch.as_tensor(lanes)].detach().clone(), self.n_features, self.hidden)


def with_ones(features: Tensor) -> Tensor:
    """[n, d+1]: the features and a column of ones for the bias."""
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)


def hidden(first: Tensor, rows: Tensor) -> Tensor:
    """[K, h, n] pre-activations W1 x + b1 of all lanes: one matrix product.

    Parameters
    ----------
    first : [K, h, d+1]
    rows : [n, d+1], with the column of ones
    """
    lanes, units, width = first.shape
    return (first.reshape(lanes * units, width) @ rows.T).view(lanes, units, len(rows))


def head(pre_activations: Tensor, second: Tensor, offset: Tensor) -> Tensor:
    """[K, n] margins from pre-activations [K, h, n], without dropout; differentiable."""
    return torch.bmm(second[:, None], leaky_relu(pre_activations, SLOPE)).squeeze(1) + offset


def margins(parameters: LaneParameters, features: Tensor) -> Tensor:
    """[K, n] logit margins of features [n, d], without dropout; differentiable in both."""
    first, second, offset = parameters.split()
    return head(hidden(first, with_ones(features)), second, offset)


def row_chunks(n_rows: int, floats_per_row: int) -> list[slice]:
    """Slices over rows that keep a chunk's activations within ``CHUNK_FLOATS``."""
    size = max(1, CHUNK_FLOATS // max(1, floats_per_row))
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


class _DropoutMargins(torch.autograd.Function):
    """Margins under dropout with a backward pass of one product.

    With S = mask ⊙ leaky_relu'(U) the activations are U ⊙ S (leaky ReLU is positively homogeneous), so for an
    upstream gradient δ [K, n] and H = (S ⊙ δ) X: dW1 = w2 H and, by Euler's identity, dw2 = Σ_d W1 ⊙ H.
    The activations need not be kept, and neither gradient reads them again.
    """

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, offset: Tensor, rows: Tensor, mask: Tensor) -> Tensor:
        activations = hidden(first, rows)
        slopes = torch.ops.aten.leaky_relu_backward(mask.expand_as(activations), activations, SLOPE, False)
        activations.mul_(slopes)
        ctx.save_for_backward(first, second, rows, slopes)
        return torch.baddbmm(offset[:, None], second[:, None], activations).squeeze(1)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        first, second, rows, slopes = ctx.saved_tensors
        gradient = upstream[0]
        lanes, units, width = first.shape
        flow = slopes.mul_(gradient[:, None])  # the slopes are not needed again: a graph is walked once
        product = (flow.view(lanes * units, len(rows)) @ rows).view(lanes, units, width)
        d_second = torch.linalg.vecdot(first, product)
        return product * second[..., None], d_second, gradient.sum(1, keepdim=True), None, None


def dropout_margins(first: Tensor, second: Tensor, offset: Tensor, rows: Tensor, mask: Tensor) -> Tensor:
    """[K, n] margins under dropout; differentiable once in the parameters, not in the rows.

    Parameters
    ----------
    first, second, offset : Tensor
        As :meth:`LaneParameters.split` gives them.
    rows : [n, d+1], with the column of ones
    mask : [h, n] float32
        0 where a unit is dropped, 1/(1 − rate) elsewhere; shared by the lanes.
    """
    return cast(Tensor, _DropoutMargins.apply(first, second, offset, rows, mask))  # type: ignore[no-untyped-call]
