"""The utility role: cross-entropy and nothing else."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from experts.networks.objectives.objective import Forward


class UtilityObjective:
    """No fairness term."""

    lambdas: ClassVar[tuple[str, ...]] = ()

    def penalty(self, forward: Forward) -> Tensor:
        """[K] zeros."""
        return forward.margins.new_zeros(len(forward.margins))

    def after_step(self) -> None:
        """Nothing to update."""

    def select(self, lanes: Tensor) -> None:
        """Nothing to select."""
