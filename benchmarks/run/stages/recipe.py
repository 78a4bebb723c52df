"""How methods of one kind are made, and what their cells say of them: one recipe per kind, named by the records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from benchmarks.run.stages.curves import Curves, Searched
from experts.tuning.trials import UnknownTrialError
from moe.routing import Routed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.cells.cell import Cell
    from benchmarks.methods.method import Method
    from benchmarks.run.levels import Allowed, Explained, OutOfFold, Trained, Variant
    from experts.expert import Expert
    from moe.decision import DecisionProblem

System = TypeVar("System")
"""The half of a job that a recipe builds from: what methods share is made once there."""


class Recipe(ABC, Generic[System]):
    """Answers that are the same for every method of a kind; a kind overrides what it knows more of."""

    @abstractmethod
    def make(self, system: System, method: Method) -> Expert:
        """The fitted model."""

    def trained(self, system: System, method: Method) -> Trained | None:  # noqa: ARG002
        """Probabilities of every trained configuration; None where there is only the chosen one."""
        return None

    def trial(self, system: System, method: Method, number: int) -> Expert:  # noqa: ARG002
        """The model of a trained configuration, by its number in :meth:`trained`.

        Raises
        ------
        UnknownTrialError
            If the method has none of this number, or keeps only the chosen one.
        """
        raise self.without_trials(method, number)

    @staticmethod
    def without_trials(method: Method, number: int) -> UnknownTrialError:
        """The error of a method that keeps its chosen model alone."""
        return UnknownTrialError(
            f"{method.id} keeps no trial {number}: only its chosen model can be made again. Leave the trial out."
        )

    def decided(self, system: System, method: Method) -> DecisionProblem | None:  # noqa: ARG002
        """What its decision layer is fitted on; None for a method without one."""
        return None

    def members(self, system: System, method: Method) -> list[Expert]:  # noqa: ARG002
        """The models that its decisions share out among, in the order of their shares; () without a decision layer."""
        return []

    def out_of_fold(self, system: System, method: Method, expert: Expert) -> OutOfFold | None:  # noqa: ARG002
        """The chosen configuration on folds of training and validation rows; None where it cannot be refitted."""
        return None

    def ways(
        self,
        system: System,  # noqa: ARG002
        method: Method,  # noqa: ARG002
        allowed: Sequence[Allowed],  # noqa: ARG002
        explained: Explained | None,  # noqa: ARG002
    ) -> list[Variant]:
        """Ways of its own to keep allowed gaps; ``explained``: reasons of its model."""
        return []

    def routed(self, system: System, method: Method, expert: Expert) -> Routed | None:  # noqa: ARG002
        """What is told of how it routes rows to experts; None for what is no mixture."""
        return expert if isinstance(expert, Routed) else None

    def entries(self, system: System, method: Method) -> tuple[str, ...]:  # noqa: ARG002
        """Ledger entries that the model is made of."""
        return (f"method {method.id}",)

    def chosen(self, system: System, method: Method) -> dict[str, Any]:  # noqa: ARG002
        """What validation rows chose."""
        return {}

    def curves(self, system: System, method: Method) -> Curves:  # noqa: ARG002
        """Curves by stage."""
        return {}

    def trials(self, system: System, method: Method) -> Searched | None:  # noqa: ARG002
        """The record of the trials that were made for this method."""
        return None

    def role(self, method: Method, expert: Expert) -> str:  # noqa: ARG002
        """The role under which it is listed."""
        return expert.role

    def keep(self, system: System, method: Method, expert: Expert, cell: Cell, folder: Path) -> None:
        """Write what else there is beside the cell, or add tables to it."""
