"""Lanes: K networks d–h–1 as one tensor, so that one matrix product serves them all.

Every lane is ``margin(x) = w2 · dropout(leaky_relu(W1 x + b1)) + b2`` and returns the logit margin of class 1. The
bias b1 is the weight of a feature that is always 1, so rows are handed over with a trailing column of ones
(:func:`with_ones`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from foundation.seeding import torch_generator

SLOPE = 0.01
"""Slope of the leaky ReLU for negative inputs."""

Parts = tuple[Tensor, Tensor, Tensor]
"""W1 with b1, w2 and b2, as :meth:`LaneParameters.split` gives them."""

CHUNK_FLOATS = 1 << 18
"""Floats of activations held at once when rows are worked through in chunks (1 MiB: they stay in cache)."""


@dataclass
class LaneParameters:
    """Weights of K networks d–h–1, flat, so that an optimiser step is a handful of operations for all lanes.

    Attributes
    ----------
    theta : [K, h·(d+1) + t·h + 1] float32
        Row k holds W1 with b1 as its last column, then w2, then b2.
    n_features, hidden : int
        d and h.
    heads : int
        t, weights w2 of a hidden unit: one, or one per operator of a second graph layer.
    """

    theta: Tensor
    n_features: int
    hidden: int
    heads: int = 1

    @classmethod
    def initial(cls, n_features: int, hidden: int, seeds: Sequence[int], heads: int = 1) -> LaneParameters:
        """Uniform in ±1/√fan-in, as a PyTorch linear layer; lane k depends on seeds[k] alone."""
        first = hidden * (n_features + 1)
        bound = torch.full((first + heads * hidden + 1,), hidden**-0.5)
        bound[:first] = max(n_features, 1) ** -0.5
        draws = [torch.rand(len(bound), generator=torch_generator(seed, "initial weights")) for seed in seeds]
        return cls((torch.stack(draws) * 2 - 1) * bound, n_features, hidden, heads)

    def __len__(self) -> int:
        """Number of lanes."""
        return len(self.theta)

    def split(self) -> Parts:
        """W1 with b1 [K, h, d+1], w2 [K, t·h] and b2 [K, 1], differentiable views of theta."""
        sizes = [self.hidden * (self.n_features + 1), self.heads * self.hidden, 1]
        first, second, offset = torch.split(self.theta, sizes, dim=1)
        return first.reshape(len(self), self.hidden, self.n_features + 1), second, offset

    def select(self, lanes: Tensor | Sequence[int]) -> LaneParameters:
        """Copy of some lanes, in the given order."""
        return self.with_theta(self.theta[torch.as_tensor(lanes)].detach().clone())

    def with_theta(self, theta: Tensor) -> LaneParameters:
        """Networks of the same shape with other weights, and as many as these are."""
        return replace(self, theta=theta)

    def double(self) -> LaneParameters:
        """The same networks in double precision."""
        return self.with_theta(self.theta.double())


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


class Workspace:
    """Two reusable buffers for activations: a fresh megabyte costs more in page faults than the arithmetic on it."""

    def __init__(self) -> None:
        self._buffer = torch.empty(2, 0)

    def take(self, *shape: int) -> tuple[Tensor, Tensor]:
        """Two tensors of a shape, with arbitrary content; they are the same memory at every call."""
        size = math.prod(shape)
        if self._buffer.shape[1] < size:
            self._buffer = torch.empty(2, size)
        return self._buffer[0, :size].view(shape), self._buffer[1, :size].view(shape)


def dropout_forward(parameters: Parts, rows: Tensor, mask: Tensor, workspace: Workspace) -> tuple[Tensor, Tensor]:
    """Margins [K, n] under dropout, and the slopes [K, h, n] that :func:`dropout_backward` needs; builds no graph.

    Parameters as :meth:`LaneParameters.split` gives them; the others as :func:`dropout_activations` takes them.
    """
    _, second, offset = parameters
    activations, slopes = dropout_activations(parameters[0], rows, mask, workspace)
    return torch.baddbmm(offset[:, None], second[:, None], activations).squeeze(1), slopes


def dropout_activations(first: Tensor, rows: Tensor, mask: Tensor, workspace: Workspace) -> tuple[Tensor, Tensor]:
    """Activations and slopes [K, h, n] of the hidden layer under dropout; builds no graph.

    Parameters
    ----------
    first : [K, h, d+1]
    rows : [n, d+1], with the column of ones
    mask : [h, n] float32
        0 where a unit is dropped, 1/(1 − rate) elsewhere; shared by the lanes.
    workspace : Workspace
        Holds both results: go backward before it is used again.
    """
    lanes, units, width = first.shape
    activations, slopes = workspace.take(lanes, units, len(rows))
    torch.mm(first.reshape(lanes * units, width), rows.T, out=activations.view(lanes * units, len(rows)))
    torch.ops.aten.leaky_relu_backward.grad_input(
        mask.expand_as(activations), activations, SLOPE, False, grad_input=slopes
    )
    return activations.mul_(slopes), slopes


def dropout_backward(upstream: Tensor, slopes: Tensor, parameters: Parts, rows: Tensor, out: Tensor) -> None:
    """Write the gradient of Σ upstream · margins into ``out`` [K, P], laid out like theta; overwrites the slopes.

    With S = mask ⊙ leaky_relu'(U) the activations are U ⊙ S (leaky ReLU is positively homogeneous), so for an
    upstream gradient δ [K, n] and H = (S ⊙ δ) X: dW1 = w2 H and, by Euler's identity, dw2 = Σ_d W1 ⊙ H. So the
    activations need not be kept, and neither gradient reads them again.
    """
    first, second, _ = parameters
    lanes, units, width = first.shape
    flow = slopes.mul_(upstream[:, None]).view(lanes * units, len(rows))
    product = (flow @ rows).view(lanes, units, width)
    d_first, d_second, d_offset = torch.split(out, [units * width, units, 1], dim=1)
    torch.mul(product, second[..., None], out=d_first.view(lanes, units, width))
    torch.sum(product.mul_(first), dim=2, out=d_second)
    torch.sum(upstream, dim=1, keepdim=True, out=d_offset)


class DropoutMasks:
    """Dropout masks [h, n] that cost nothing: windows at random places of one long random strip.

    Fresh Bernoulli draws would cost more than the whole training step. Masks depend on the seed and the number of
    masks taken before, not on the role or the lanes.

    Attributes
    ----------
    strip : [s] float32
        0 or 1/(1 − rate); a mask is a stretch of it.
    """

    def __init__(self, hidden: int, rows: int, rate: float, seed: int) -> None:
        self._shape = (hidden, rows)
        self._generator = torch_generator(seed, "dropout")
        size = max(1 << 20, 8 * hidden * rows) if rate > 0 else hidden * rows
        kept = torch.rand(size, generator=self._generator) >= rate
        self.strip = kept.to(torch.float32) / (1 - rate)

    def next(self, rows: int) -> Tensor:
        """[h, rows] float32: 0 or 1/(1 − rate); at most the rows of the constructor."""
        start = self._start(rows)
        return self.strip[start : start + self._shape[0] * rows].view(self._shape[0], rows)

    def starts(self, rows: int, count: int) -> Tensor:
        """[count] int64 where the next masks of so many rows begin in ``strip``."""
        return torch.tensor([self._start(rows) for _ in range(count)], dtype=torch.int64)

    def _start(self, rows: int) -> int:
        last = len(self.strip) - self._shape[0] * rows
        return int(torch.randint(last + 1, (), generator=self._generator))
