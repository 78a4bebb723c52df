"""Base of the gates that ignore the row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gates.candidates import GateFit
from gates.gate import GateState
from gates.problem import GateProblem


class StaticWeights:
    """The same weights for every row; a subclass gives them as ``point``, [m]."""

    name: ClassVar[str]

    @property
    def point(self) -> Tensor:
        """[m] weights on the simplex."""
        raise NotImplementedError

    def project(self, features: Tensor) -> Tensor:
        """[r, 0]: no feature is looked at."""
        return features[..., :0]

    def weights_of(self, projected: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG002 - the contract has it
        """[..., r, m] the same point for every row."""
        if logits.shape[-1] != len(self.point):
            raise ValueError(
                f"the gate weighs {len(self.point)} experts but the state has logits of {logits.shape[-1]}; "
                "build the gate for the experts that the mixture holds"
            )
        return self.point.to(logits.dtype).expand(logits.shape)

    def weights(self, state: GateState) -> Tensor:
        """[r, m] the same point for every row."""
        return self.weights_of(self.project(state.features), state.logits)


@dataclass(frozen=True, eq=False)
class SimplexWeights(StaticWeights):
    """Fixed weights ``simplex`` [m] for every row; a gate gives its name."""

    simplex: Tensor

    def __post_init__(self) -> None:
        if self.simplex.ndim != 1 or not on_simplex(self.simplex):
            raise ValueError(f"{self.simplex.tolist()} is not a point of the simplex: weights are >= 0 and sum to 1")

    @property
    def point(self) -> Tensor:
        """[m] the weights."""
        return self.simplex


def static_fit(problem: GateProblem, gate: StaticWeights) -> GateFit:
    """The fit of a gate whose weights are found, with its score."""
    return GateFit(gate, None, problem.finish(gate, problem.score_points(gate.point[None])[0]))


def as_point(weights: Tensor) -> Tensor:
    """[m] float32 weights that sum to 1, from non-negative ones of which one is positive."""
    return (weights.double() / weights.double().sum()).to(torch.float32)


def on_simplex(point: Tensor) -> bool:
    """Whether [m] weights are non-negative and sum to 1 (1e-5)."""
    return bool((point >= 0).all()) and abs(float(point.double().sum()) - 1) < 1e-5


def corner(index: int, experts: int) -> Tensor:
    """[experts] one-hot float32."""
    return torch.nn.functional.one_hot(torch.tensor(index), experts).to(torch.float32)
