"""Gates and the static mixtures that they must beat."""

from gates.definition import GateDefinition
from gates.gate import Gate, GateState, ProjectedGate, TrainableGate
from gates.mixing import mixture_log_probabilities, mixture_margin

__all__ = [
    "Gate",
    "GateDefinition",
    "GateState",
    "ProjectedGate",
    "TrainableGate",
    "mixture_log_probabilities",
    "mixture_margin",
]
