"""What scoring asks of the half of a job that makes its methods: one contract for tables and texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from benchmarks.cells.cell import Cell
    from benchmarks.run.levels import Allowed, Explained, OutOfFold, Trained, Variant
    from benchmarks.run.telling.ledger import SeedLedger
    from experts.expert import Expert
    from moe.decision import DecisionProblem
    from moe.routing import Routed
    from tasks.task import TaskView


class Maker(Protocol):
    """Fits methods, and knows what is to be said of each in its cell."""

    view: TaskView
    ledger: SeedLedger

    def method(self, name: str) -> Expert:
        """The fitted model of a method."""
        ...

    @property
    def unmitigated(self) -> float | None:
        """Validation gap fair_res@1 of the utility expert; None if not estimable."""
        ...

    def trained(self, method: str) -> Trained | None:
        """Probabilities of every trained configuration of a method; None where there is only the chosen one."""
        ...

    def trial(self, method: str, number: int) -> Expert:
        """The model of a trained configuration of a method, by its number."""
        ...

    def decided(self, method: str) -> DecisionProblem | None:
        """What a method's decision layer is fitted on; None for a method without one."""
        ...

    def members(self, method: str) -> list[Expert]:
        """The models that a method's decisions share out among, in the order of their shares."""
        ...

    def out_of_fold(self, method: str, expert: Expert) -> OutOfFold | None:
        """A method's chosen configuration on folds of training and validation rows; None if it cannot be refitted."""
        ...

    def ways(self, method: str, allowed: Sequence[Allowed], explained: Explained | None) -> list[Variant]:
        """A method's own ways to keep allowed gaps; ``explained``: reasons of its model."""
        ...

    def routed(self, method: str, expert: Expert) -> Routed | None:
        """What is told of how a method routes rows to experts; None for what is no mixture."""
        ...

    def prepare(self, experts: dict[str, Expert], rows: Tensor) -> None:
        """Compute at once what the metrics will ask of several models on rows."""
        ...

    def role(self, method: str, expert: Expert) -> str:
        """The role under which a method is listed."""
        ...

    def params(self, method: str) -> dict[str, Any]:
        """What was chosen, for the tracker's parameter table."""
        ...

    def curves(self, method: str) -> dict[str, list[tuple[int, float]]]:
        """Curves by stage: metric name → (step, value); trials are steps of the tuning stage."""
        ...

    def parts_of(self, method: str) -> tuple[str, ...]:
        """Ledger entries that a method's model is made of."""
        ...

    def cost(self, method: str, expert: Expert) -> dict[str, Any]:
        """Costs beside time and memory."""
        ...

    def extras(self, cell: Cell, folder: Path, method: str, expert: Expert) -> None:
        """Further tables of the cell, and files beside it."""
        ...
