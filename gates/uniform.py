"""The plain average of the experts' probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gates.candidates import GateFit
from gates.definition import GateDefinition
from gates.problem import GateProblem
from gates.static import StaticWeights, static_fit


@dataclass(frozen=True)
class UniformGate(StaticWeights):
    """Weight 1/m for each of ``experts`` = m experts."""

    name: ClassVar[str] = "uniform"
    experts: int

    @property
    def point(self) -> Tensor:
        """[m], all 1/m."""
        return torch.full((self.experts,), 1 / self.experts)


def fit(problem: GateProblem) -> GateFit:
    """Nothing is chosen."""
    return static_fit(problem, UniformGate(problem.experts))


GATE = GateDefinition(
    label="Uniform mixture",
    about="every expert weighs the same",
    gate=UniformGate,
    fit=fit,
    kind="static",
    method="uniform",
    pools=("tabular", "graph", "text", "cross"),
    colour="sky",
    place=40,
)
