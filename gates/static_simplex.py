"""The strongest mixture that ignores the row: weights on the simplex, found by exhaustive search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from gates.candidates import GateFit
from gates.definition import GateDefinition
from gates.problem import GateProblem
from gates.simplex import best_point
from gates.static import StaticWeights, on_simplex, static_fit


@dataclass(frozen=True, eq=False)
class StaticSimplexGate(StaticWeights):
    """Fixed weights ``simplex`` [m] for every row."""

    name: ClassVar[str] = "static_simplex"
    simplex: Tensor

    def __post_init__(self) -> None:
        if self.simplex.ndim != 1 or not on_simplex(self.simplex):
            raise ValueError(f"{self.simplex.tolist()} is not a point of the simplex: weights are >= 0 and sum to 1")

    @property
    def point(self) -> Tensor:
        """[m] the weights."""
        return self.simplex


def fit(problem: GateProblem) -> GateFit:
    """The point of a grid that validation rows prefer."""
    return static_fit(problem, StaticSimplexGate(best_point(problem.experts, problem.rank_points)))


GATE = GateDefinition(
    label="Static weights",
    about="one set of weights for all rows",
    gate=StaticSimplexGate,
    fit=fit,
    kind="static",
    method="static_simplex",
    pools=("tabular", "graph", "text", "cross"),
    colour="sky",
    place=30,
)
