"""What routes: a model that gives each row weights on experts."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from experts.expert import Expert
from tasks.task import TaskView


@runtime_checkable
class Routed(Protocol):
    """A model that gives each row weights on experts: output mixtures, and mixtures in the space of weights."""

    @property
    def experts(self) -> tuple[Expert, ...]:
        """The experts, in the order of the weights."""
        ...

    def weights(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r, m] weights on the simplex."""
        ...


def expert_name(expert: Expert) -> str:
    """Name of an expert among those of a mixture: its role, and its family where that is not the tabular one."""
    return expert.role if expert.family == "mlp" else f"{expert.family}_{expert.role}"
