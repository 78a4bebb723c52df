"""What makes a gate a method: its class, how it is fitted, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gates.candidates import GateFit
from gates.gate import ProjectedGate
from gates.problem import GateProblem

POOLS = ("tabular", "graph", "text", "cross")
"""Sets of experts that a gate may mix."""


@dataclass(frozen=True)
class GateDefinition:
    """One gate; its file in ``gates/`` defines it as ``GATE`` and gives it its name.

    Words and flags are literals, so that they can be read without importing torch.

    Attributes
    ----------
    label : str
        Name on the pages, such as "Dense gate".
    about : str
        One line of plain words, without a full stop.
    gate : type
        Its class, a dataclass of tensors and JSON values, whose ``name`` is that of the file.
    fit : callable
        problem → fit: learns from the problem's training rows, if it learns, and chooses on its validation rows.
    kind : str
        A key of :data:`reports.names.KINDS`: "gate" where weights depend on the row, "static" where they do not.
    method : str
        Name of the method that mixes the tabular experts with it; "" stands for ``gate_<file>``.
    pools : tuple of str
        Of :data:`POOLS`: in which of them it forms a method.
    colour : str
        Of its mark: blue, sky, green, orange, vermillion, purple, ink or grey.
    place : int
        Order on the pages, small first; equal ones by name. New gates stand last.
    """

    label: str
    about: str
    gate: type[ProjectedGate]
    fit: Callable[[GateProblem], GateFit]
    kind: str = "gate"
    method: str = ""
    pools: tuple[str, ...] = POOLS
    colour: str = "blue"
    place: int = 1000
