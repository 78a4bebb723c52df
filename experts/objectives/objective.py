"""The contract of a role's objective, and cross-entropy, which all roles share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from experts.batches import Batch


@dataclass(frozen=True)
class Forward:
    """One forward pass of a chunk of lanes, with its graph.

    Attributes
    ----------
    batch : Batch
    first, second, offset : Tensor
        Parameters as :meth:`experts.lanes.LaneParameters.split` gives them.
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


def cross_entropy(margins: Tensor, batch: Batch) -> Tensor:
    """[K] weighted mean binary cross-entropy of logit margins [K, n]: the one place where margins meet labels."""
    targets = batch.targets.expand_as(margins)
    losses = binary_cross_entropy_with_logits(margins, targets, reduction="none")
    weights = batch.relative_weights
    return losses.mean(1) if weights is None else (losses * weights).sum(1)


def lane_weights(lambdas: Mapping[str, Tensor], names: tuple[str, ...]) -> dict[str, Tensor]:
    """The [K] weights of an objective by name; refuses unknown names, fills 0 for missing ones.

    Raises
    ------
    ValueError
        If a name is not one of the objective's, or a weight is negative or not finite.
    """
    unknown = set(lambdas) - set(names)
    if unknown:
        raise ValueError(f"Unknown weights {sorted(unknown)}; this role has {', '.join(names) or 'none'}.")
    return {name: lambdas[name] for name in names}
