"""Adversaries that guess the group from what a lane computes (Ganin et al., JMLR 2016; Zhang et al., AIES 2018).

Every lane has its own adversary with its own optimiser. The adversary's loss is never weighted: the lane's weight
acts on the reversed gradient alone, so that a small weight does not leave the adversary untrained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from experts.adam import LaneAdam
from experts.lanes import SLOPE
from tasks.seeding import torch_generator

LEARNING_RATE = 1e-2


class _Reverse(torch.autograd.Function):
    """Identity forward, −weight · gradient backward."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        (weight,) = ctx.saved_tensors
        return -weight[:, None, None] * upstream[0], None


def reverse(values: Tensor, weight: Tensor) -> Tensor:
    """``values`` [K, a, n], whose gradient is multiplied by −``weight`` [K] on its way back."""
    apply: Callable[..., Tensor] = _Reverse.apply
    return apply(values, weight)


class Adversary:
    """One network inputs–width–groups per lane.

    Parameters
    ----------
    inputs, width, n_groups : int
    seeds : sequence of int
        Seed of each lane's initial weights.
    word : str
        Names the adversary, so that two adversaries of a lane start differently.
    """

    def __init__(self, inputs: int, width: int, n_groups: int, seeds: Sequence[int], word: str) -> None:
        self._sizes = (width * (inputs + 1), n_groups * (width + 1))
        self._shapes = ((width, inputs + 1), (n_groups, width + 1))
        bound = torch.cat(
            [torch.full((size,), shape[1] ** -0.5) for size, shape in zip(self._sizes, self._shapes, strict=True)]
        )
        draws = [torch.rand(len(bound), generator=torch_generator(seed, "adversary", word)) for seed in seeds]
        theta = ((torch.stack(draws) * 2 - 1) * bound).requires_grad_()
        self._start(theta)

    def _start(self, theta: Tensor) -> None:
        lanes = len(theta)
        self._optimiser = LaneAdam(theta.detach(), torch.full((lanes,), LEARNING_RATE), torch.zeros(lanes))
        self._gradient = torch.zeros(theta.shape)

    def losses(self, values: Tensor, groups: Tensor, weights: Tensor | None, lanes: slice) -> Tensor:
        """[K] cross-entropy of guessing groups [n] from values [K, inputs, n]; differentiable in values.

        The gradient for the adversary's own parameters is kept until :meth:`step`.
        """
        theta = self._optimiser.theta[lanes].detach().requires_grad_()
        theta.register_hook(self._keeper(lanes))
        first, second = (
            part.unflatten(1, shape) for part, shape in zip(theta.split(self._sizes, dim=1), self._shapes, strict=True)
        )
        units = leaky_relu(torch.baddbmm(first[..., -1:], first[..., :-1], values), SLOPE)
        scores = torch.baddbmm(second[..., -1:], second[..., :-1], units)
        chosen = torch.log_softmax(scores, 1).gather(1, groups.expand(len(scores), 1, -1)).squeeze(1)
        return -(chosen.mean(1) if weights is None else (chosen * weights).sum(1))

    def _keeper(self, lanes: slice) -> Callable[[Tensor], None]:
        def keep(gradient: Tensor) -> None:
            self._gradient[lanes] = gradient

        return keep

    def step(self) -> None:
        """One optimiser step along the kept gradients."""
        self._optimiser.step(self._gradient)
        self._gradient.zero_()

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self._optimiser.select(lanes)
        self._gradient = self._gradient[lanes]
