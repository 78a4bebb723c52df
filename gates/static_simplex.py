"""The strongest mixture that ignores the row: weights on the simplex, found by exhaustive search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gates.candidates import GateFit
from gates.definition import GateDefinition
from gates.grid import best_point
from gates.problem import GateProblem
from gates.static import SimplexWeights, static_fit


@dataclass(frozen=True, eq=False)
class StaticSimplexGate(SimplexWeights):
    """Fixed weights ``simplex`` [m] for every row."""

    name: ClassVar[str] = "static_simplex"


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
