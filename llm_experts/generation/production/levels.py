"""Which difficulty a topic's items are made with: moved by bisection until enough of them pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from llm_experts.generation.spec import DataSpec
from metrics.proportions import wilson

LEAST = 24
"""Drafts of a difficulty before it is judged."""
NARROW = 1 / 32
"""Difficulties that are this near to one another are not told apart."""


@dataclass
class Level:
    """What one difficulty brought.

    Attributes
    ----------
    difficulty : float or None
    drafts, accepted : int
    chances : float
        Sum of the probabilities of a right answer that were measured, ``measured`` of them.
    measured : int
    """

    difficulty: float | None
    drafts: int = 0
    accepted: int = 0
    chances: float = 0.0
    measured: int = 0

    @property
    def acceptance(self) -> float:
        """Share of its drafts that were accepted."""
        return self.accepted / self.drafts if self.drafts else math.nan

    @property
    def chance(self) -> float:
        """Mean probability of a right answer; nan where it was not measured."""
        return self.chances / self.measured if self.measured else math.nan

    def count(self, accepted: Sequence[bool], chances: Sequence[float]) -> None:
        """Count drafts in: whether each was accepted, and its probability of a right answer or nan."""
        known = [chance for chance in chances if not math.isnan(chance)]
        self.drafts += len(accepted)
        self.accepted += sum(accepted)
        self.chances += math.fsum(known)
        self.measured += len(known)


class Levels:
    """The difficulties of a topic: the one that is drafted with, and those before it.

    Where fewer drafts than ``spec.acceptance`` pass, the difficulty goes down if the mean probability of a right
    answer lies below ``spec.success``, and up if it lies above: each time to the middle of what is left of [0, 1].
    Where neither helps, the difficulty that brought most stays.

    Parameters
    ----------
    spec : DataSpec
    difficulty : float or None
        What is begun with; None, a mix of all, is moved as if it were 0.5.
    movable : bool
        Whether the provider's items have a difficulty at all.
    """

    def __init__(self, spec: DataSpec, difficulty: float | None, *, movable: bool) -> None:
        self._spec = spec
        self._low, self._high = 0.0, 1.0
        self.current = Level(difficulty)
        self.all = [self.current]
        self.movable, self.settled = movable, not movable

    def move(self) -> bool:
        """Move to another difficulty if this one brings too few; whether it did."""
        level = self.current
        if self.settled or level.drafts < LEAST or level.acceptance >= self._spec.acceptance:
            return False
        following = self._following(level)
        if following is None:
            self.settled = True
            self.current = max(self.all, key=lambda known: known.acceptance)
        else:
            self.current = Level(following)
            self.all.append(self.current)
        return self.current is not level

    @property
    def moved(self) -> bool:
        """Whether all that there is to move was tried, by what was measured."""
        return self.movable and self.settled and self.current.measured > 0

    def hopeless(self, missing: int, left: int) -> bool:
        """Whether ``left`` more drafts cannot bring the ``missing`` items, by the upper end of Wilson's interval."""
        level = self.current
        if not self.settled or level.drafts < 2 * LEAST:
            return False
        return wilson(level.accepted, level.drafts)[1] * left < missing

    def _following(self, level: Level) -> float | None:
        """The next difficulty; None where there is no way to go."""
        here = 0.5 if level.difficulty is None else level.difficulty
        low, high = self._spec.success
        if level.chance < low:
            self._high = here
            end = self._low
        elif level.chance > high:
            self._low = here
            end = self._high
        else:  # as hard as it should be, or not measured
            return None
        if self._high - self._low > NARROW:
            return (self._low + self._high) / 2
        return end if end != here and all(known.difficulty != end for known in self.all) else None
