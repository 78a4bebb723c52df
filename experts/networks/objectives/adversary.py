"""Adversaries that guess the group from what a lane computes (Ganin et al., JMLR 2016; Zhang et al., AIES 2018).

Every lane has its own adversary with its own optimiser, which takes one step per step of the lane. The adversary's
loss is never weighted: the lane's weight acts on the reversed gradient alone, so that a small weight does not leave
the adversary untrained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, leaky_relu

from experts.networks.adam import LaneAdam
from experts.networks.lanes import SLOPE
from foundation.seeding import torch_generator

LEARNING_RATE = 1e-2


class _ReversedLoss(torch.autograd.Function):
    """Hands a loss on whose gradient is known already, multiplied by −weight."""

    @staticmethod
    def forward(ctx: Any, _values: Tensor, loss: Tensor, gradient: Tensor, weight: Tensor) -> Tensor:
        ctx.kept = (gradient, weight)
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None]:
        gradient, weight = ctx.kept
        return gradient * (-weight * upstream[0])[:, None, None], None, None, None


class Adversary:
    """One network inputs–width–outputs per lane, trained against the lanes.

    Parameters
    ----------
    inputs, width, n_groups : int
        One logistic output per group, one in all for two groups.
    seeds : sequence of int
        Seed of each lane's initial weights.
    word : str
        Names the adversary, so that two adversaries of a lane start differently.
    device : torch.device, optional
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        n_groups: int,
        seeds: Sequence[int],
        word: str,
        device: torch.device | None = None,
    ) -> None:
        outputs = 1 if n_groups == 2 else n_groups
        self._shapes = ((width, inputs + 1), (outputs, width + 1))
        self._sizes = [rows * columns for rows, columns in self._shapes]
        bound = torch.cat([torch.full((rows * columns,), columns**-0.5) for rows, columns in self._shapes])
        draws = [torch.rand(len(bound), generator=torch_generator(seed, "adversary", word)) for seed in seeds]
        theta = ((torch.stack(draws) * 2 - 1) * bound).to(device)
        rates = torch.full((len(seeds),), LEARNING_RATE, device=device)
        self._optimiser = LaneAdam(theta, rates, torch.zeros_like(rates))
        self._gradient = torch.zeros_like(theta)

    def _split(self, flat: Tensor) -> list[Tensor]:
        """Both layers [K, out, in+1], bias last, as views."""
        parts = torch.split(flat, self._sizes, dim=1)
        return [part.view(len(flat), *shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def reversed_loss(
        self, values: Tensor, weight: Tensor, targets: Tensor, row_weights: Tensor | None, lanes: slice
    ) -> Tensor:
        """[K] mean cross-entropy of guessing the group, with gradient −``weight`` · ∂loss/∂values.

        The adversaries' own, unweighted gradient is kept until :meth:`step`.

        Parameters
        ----------
        values : [K, inputs, n]
        weight : [K]
        targets : [o, n]
            As :func:`metrics.surrogates.group_targets` gives them.
        row_weights : [K, n] or None
            Weights that sum to 1; None: all 1/n.
        lanes : slice
            Which of the running lanes these are.
        """
        loss, gradient = self._loss_and_gradient(values.detach(), targets, row_weights, lanes)
        apply: Callable[..., Tensor] = _ReversedLoss.apply
        return apply(values, loss, gradient, weight)

    def _loss_and_gradient(
        self, values: Tensor, targets: Tensor, row_weights: Tensor | None, lanes: slice
    ) -> tuple[Tensor, Tensor]:
        first, second = self._split(self._optimiser.theta[lanes])
        d_first, d_second = self._split(self._gradient[lanes])
        units = torch.baddbmm(first[..., -1:], first[..., :-1], values)
        active = leaky_relu(units, SLOPE)
        scores = torch.baddbmm(second[..., -1:], second[..., :-1], active)
        losses = binary_cross_entropy_with_logits(scores, targets.expand_as(scores), reduction="none").sum(1)
        d_scores = torch.sigmoid(scores).sub_(targets)
        if row_weights is None:
            loss = losses.mean(1)
            d_scores.div_(values.shape[2])
        else:
            loss = (losses * row_weights).sum(1)
            d_scores.mul_(row_weights[:, None])
        d_second[..., :-1] = torch.bmm(d_scores, active.mT)
        d_second[..., -1] = d_scores.sum(2)
        d_active = second[..., :-1].mT * d_scores if len(targets) == 1 else second[..., :-1].mT @ d_scores
        d_units = torch.ops.aten.leaky_relu_backward(d_active, units, SLOPE, False)
        d_first[..., :-1] = torch.bmm(d_units, values.mT)
        d_first[..., -1] = d_units.sum(2)
        return loss, torch.bmm(first[..., :-1].mT, d_units)

    def step(self) -> None:
        """One optimiser step along the kept gradients."""
        self._optimiser.step(self._gradient)
        self._gradient.zero_()

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self._optimiser.select(lanes)
        self._gradient = self._gradient[lanes]
