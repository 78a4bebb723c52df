"""The plain average of the experts' probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gates.definition import GateDefinition
from gates.static import StaticWeights


@dataclass(frozen=True)
class UniformGate(StaticWeights):
    """Weight 1/m for each of ``experts`` = m experts."""

    name: ClassVar[str] = "uniform"
    selectable: ClassVar[bool] = True
    experts: int

    @property
    def point(self) -> Tensor:
        """[m], all 1/m."""
        return torch.full((self.experts,), 1 / self.experts)


GATE = GateDefinition(
    label="Uniform mixture",
    about="every expert weighs the same",
    gate=UniformGate,
    kind="static",
    method="uniform",
    pools=("tabular", "graph", "text", "cross"),
    colour="sky",
    place=40,
)
