"""The contract of a role's objective, and cross-entropy, which all roles share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from experts.networks.batches import Batch


@dataclass(frozen=True)
class Forward:
    """One forward pass of a chunk of lanes; parameters and margins are leaves that a penalty is differentiated in.

    Attributes
    ----------
    batch : Batch
    first, second, offset : Tensor
        Parameters as :meth:`experts.networks.lanes.LaneParameters.split` gives them.
    margins : [K, n]
        Logit margins under dropout.
    lanes : slice
        Which of the running lanes these are.
    """

    batch: Batch
    first: Tensor
    second: Tensor
    offset: Tensor
    margins: Tensor
    lanes: slice


class Objective(Protocol):
    """The fairness terms that a role adds to cross-entropy."""

    lambdas: ClassVar[tuple[str, ...]]
    """Names of the role's weights; a weight of 0 adds a gradient of exactly 0."""

    def penalty(self, forward: Forward) -> Tensor:
        """[K] weighted fairness terms; differentiable in the lanes' parameters."""
        ...

    def after_step(self) -> None:
        """Update what the objective itself learns (an adversary), once all chunks have gone backward."""
        ...

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        ...


def cross_entropy_gradient(margins: Tensor, batch: Batch) -> Tensor:
    """[K, n] gradient of each lane's weighted mean cross-entropy in its margins: (σ(z) − y) · weight.

    The one place where margins meet labels. The loss itself is not computed: nothing reads it.
    """
    difference = torch.sigmoid(margins).sub_(batch.targets)
    weights = batch.relative_weights
    return difference.div_(len(batch)) if weights is None else difference.mul_(weights)
