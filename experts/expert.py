"""The contract of an expert: a fitted model of one role and family."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Tensor

from experts.roles import ALIASES, ROLES, Role
from tasks.task import TaskView

__all__ = ["ALIASES", "ROLES", "Expert", "Role"]


@runtime_checkable
class Expert(Protocol):
    """Logits and attributions for rows of a task; tabular, graph, LLM and mixtures alike."""

    @property
    def role(self) -> str:
        """What the expert optimises."""
        ...

    @property
    def family(self) -> str:
        """What the expert is."""
        ...

    @property
    def explainer(self) -> str:
        """How its attributions are made."""
        ...

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] margin of class 1; ``keep`` [r, columns] bool masks columns to unknown."""
        ...

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] signed attribution of the margin, baseline: all columns unknown."""
        ...

    def save(self, folder: Path) -> None:
        """Write weights (safetensors) and ``expert.json`` into an existing, empty folder."""
        ...
