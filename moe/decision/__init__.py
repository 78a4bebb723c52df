"""The decision layer: what a mixture decides so that an allowed gap is kept.

``fit_decisions(problem, demands)`` chooses on out-of-fold rows; ``Decision.apply`` turns members' margins into
probabilities that are cut at 0.5; ``Decided`` is an expert that does so for rows of a task.
"""

from moe.decision.decided import Decided, load_decided
from moe.decision.decision import Decision
from moe.decision.demand import Demand, ProceduralBound
from moe.decision.fitting import fit_decision, fit_decisions
from moe.decision.masked_columns import MaskedColumns
from moe.decision.problem import DecisionProblem, ExplainedRows
from moe.decision.procedural_bound import Reasons, decided_points

__all__ = [
    "Decided",
    "Decision",
    "DecisionProblem",
    "Demand",
    "ExplainedRows",
    "MaskedColumns",
    "ProceduralBound",
    "Reasons",
    "decided_points",
    "fit_decision",
    "fit_decisions",
    "load_decided",
]
