"""Gates and the static mixtures that they must beat."""

from gates.gate import Gate, GateState, ProjectedGate
from gates.mixing import mixture_log_probabilities, mixture_margin
from gates.registry import GATES, load_gate, save_gate

__all__ = [
    "GATES",
    "Gate",
    "GateState",
    "ProjectedGate",
    "load_gate",
    "mixture_log_probabilities",
    "mixture_margin",
    "save_gate",
]
