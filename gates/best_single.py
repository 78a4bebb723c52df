"""One expert for all rows, chosen on validation rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gates.candidates import GateFit
from gates.definition import GateDefinition
from gates.problem import GateProblem
from gates.static import StaticWeights, corner, static_fit


@dataclass(frozen=True)
class BestSingleGate(StaticWeights):
    """Weight 1 for expert ``index`` of ``experts``."""

    name: ClassVar[str] = "best_single"
    index: int
    experts: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.experts:
            raise ValueError(f"expert {self.index} does not exist: there are {self.experts}, counted from 0")

    @property
    def point(self) -> Tensor:
        """[m] one-hot."""
        return corner(self.index, self.experts)


def best_expert(experts: int, score: Callable[[Tensor], Tensor]) -> int:
    """The expert whose validation score is largest (the first one in a tie).

    Parameters
    ----------
    experts : int
    score : callable
        [c, m] candidate weights -> [c] scores on validation rows, larger is better.
    """
    return int(score(torch.eye(experts)).argmax())


def fit(problem: GateProblem) -> GateFit:
    """The expert that validation rows prefer."""
    index = best_expert(problem.experts, problem.rank_points)
    return static_fit(problem, BestSingleGate(index, problem.experts))


GATE = GateDefinition(
    label="Best single expert",
    about="the expert that validation rows prefer",
    gate=BestSingleGate,
    fit=fit,
    kind="static",
    method="best_single",
    pools=("tabular", "graph", "text", "cross"),
    colour="sky",
    place=50,
)
