"""One network for everything: the single model with the combined loss that a mixture has to beat."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from experts.networks.objectives.objective import Forward
from experts.networks.objectives.procedural import ProceduralObjective
from experts.networks.objectives.result import ResultObjective


class CombinedObjective:
    """The terms of the result role plus the terms of the procedural role, each with its own weight."""

    lambdas: ClassVar[tuple[str, ...]] = (*ResultObjective.lambdas, *ProceduralObjective.lambdas)

    def __init__(self, result: ResultObjective, procedural: ProceduralObjective) -> None:
        self._result, self._procedural = result, procedural

    def penalty(self, forward: Forward) -> Tensor:
        """[K] weighted sum of the four terms."""
        return self._result.penalty(forward) + self._procedural.penalty(forward)

    def after_step(self) -> None:
        """Update the adversaries."""
        self._result.after_step()
        self._procedural.after_step()

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self._result.select(lanes)
        self._procedural.select(lanes)
