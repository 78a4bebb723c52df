"""The mean of the families' means: every family weighs the same, and so does every expert of a family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gates.candidates import GateFit
from gates.definition import GateDefinition
from gates.problem import GateProblem
from gates.static import SimplexWeights, as_point, static_fit


@dataclass(frozen=True, eq=False)
class FamilyMeansGate(SimplexWeights):
    """Weight 1/(f · m_f) for each of the m_f experts of one of f families."""

    name: ClassVar[str] = "family_means"


def fit(problem: GateProblem) -> GateFit:
    """Nothing is chosen."""
    return static_fit(problem, FamilyMeansGate(as_point(problem.membership.mean(0))))


GATE = GateDefinition(
    label="Family means",
    about="every family weighs the same, and so does every expert of it",
    gate=FamilyMeansGate,
    fit=fit,
    kind="static",
    method="family_means",
    pools=(),
    colour="sky",
    place=70,
)
