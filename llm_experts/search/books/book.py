"""A book of measures: what a search and its validation need to know of the rows or items that margins speak of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from llm_experts.reading.calibration import Calibration
from llm_experts.search.mixture import MixtureModel, Outputs
from llm_experts.search.settings import SearchSettings
from metrics.value import Value


class Book(Protocol):
    """Measures of mixtures on fixed rows or items."""

    def __len__(self) -> int:
        """Rows or items."""
        ...

    def check(self, model: MixtureModel, settings: SearchSettings) -> None:
        """Refuse what the model or the rows cannot give, with :class:`llm_experts.search.settings.SearchError`."""
        ...

    def needs_moved(self, metrics: Sequence[str]) -> bool:
        """Whether moved margins are wanted for these measures."""
        ...

    def calibration(self, margins: Tensor, settings: SearchSettings) -> Calibration:
        """Temperature and bias [P] of mixtures with margins [P, n]; 1 and 0 where none are wanted."""
        ...

    def values(self, outputs: Outputs, metrics: Sequence[str]) -> dict[str, Tensor]:
        """Measure → [P] float64 of calibrated outputs; nan where it cannot be estimated."""
        ...

    def sameness(self, probability: Tensor) -> Tensor:
        """[P] by how much predictions [P, n] are too constant; 0 or less where they are not."""
        ...

    def intervals(self, outputs: Outputs, settings: SearchSettings) -> dict[str, Value]:
        """Measures of one mixture [1, n] with their 95 % intervals."""
        ...

    def sizes(self) -> str:
        """How much there is of what, in words: what an error tells of a measure that cannot be estimated."""
        ...
