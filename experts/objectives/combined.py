"""One network for everything: the single model with the combined loss that a mixture has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from experts.objectives.objective import Forward
from experts.objectives.procedural import ProceduralObjective
from experts.objectives.result import ResultObjective


class CombinedObjective:
    """The terms of the result role plus the terms of the procedural role, each with its own weight.

    Parameters
    ----------
    lambdas : mapping of str to [K]
    indicator : [d, c]
        Which source column a feature belongs to.
    hidden_units, n_groups : int
    seeds : sequence of int
        Seeds of the lanes' adversaries.
    """

    lambdas: ClassVar[tuple[str, ...]] = (*ResultObjective.lambdas, *ProceduralObjective.lambdas)

    def __init__(
        self, lambdas: Mapping[str, Tensor], indicator: Tensor, hidden_units: int, n_groups: int, seeds: Sequence[int]
    ) -> None:
        self._parts = (
            ResultObjective(lambdas),
            ProceduralObjective(lambdas, indicator, hidden_units, n_groups, seeds),
        )

    def penalty(self, forward: Forward) -> Tensor:
        """[K] weighted sum of the four terms."""
        result, procedural = (part.penalty(forward) for part in self._parts)
        return result + procedural

    def after_step(self) -> None:
        """Update the adversaries."""
        for part in self._parts:
            part.after_step()

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        for part in self._parts:
            part.select(lanes)
