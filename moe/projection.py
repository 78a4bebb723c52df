"""Experts seen as a linear projection of the features followed by a small head.

Along the straight path from the baseline 0 to a row, projections only scale: P(αx) = αP(x). Integrated gradients
of a mixture therefore need one large matrix product per row, not one per step.
"""

from __future__ import annotations

from typing import Protocol, cast, runtime_checkable

from torch import Tensor
from torch.nn.functional import leaky_relu

from experts.expert import Expert
from experts.networks.lanes import SLOPE, LaneParameters
from experts.networks.mlp import MLPExpert


@runtime_checkable
class Projection(Protocol):
    """A margin as ``margin_of(project(features))``, both differentiable.

    An expert of another family that is differentiable in a row's own features takes part in the mixture's
    integrated gradients by having these two methods.
    """

    def project(self, features: Tensor) -> Tensor:
        """[r, h], linear in features [r, d] and 0 for a row of zeros."""
        ...

    def margin_of(self, projected: Tensor) -> Tensor:
        """[...] margins of projections [..., h]."""
        ...


class NetworkProjection:
    """The projection of one lane: W1 x, then everything behind it."""

    def __init__(self, parameters: LaneParameters) -> None:
        first, second, offset = parameters.split()
        self._weight, self._bias, self._second, self._offset = first[0, :, :-1], first[0, :, -1], second[0], offset[0]

    def project(self, features: Tensor) -> Tensor:
        """[r, h] W1 x."""
        return features @ self._weight.T

    def margin_of(self, projected: Tensor) -> Tensor:
        """[...] margins."""
        return leaky_relu(projected + self._bias, SLOPE) @ self._second + self._offset


def projection_of(expert: Expert) -> Projection | None:
    """The expert's projection; None when its margin is not a differentiable function of the row's own features."""
    if isinstance(expert, MLPExpert):
        return NetworkProjection(expert.parameters)
    return cast(Projection, expert) if isinstance(expert, Projection) else None
