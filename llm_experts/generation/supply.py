"""What one topic of a data set has brought so far, and what is drafted for it next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from llm_experts.families.registry import family_named
from llm_experts.generation.judged import DIFFICULTY, Judged
from llm_experts.generation.levels import Levels
from llm_experts.generation.spec import DataSpec, Topic

BATCH = 64
"""Most drafts that are examined at once."""
MOST_DRAFTS = 8
"""Drafts of a topic at most, times the items that are wanted of it."""


class Order(NamedTuple):
    """The next drafts of a topic: its name and difficulty, how many, the number of the first."""

    topic: Topic
    many: int
    start: int


@dataclass(eq=False)
class Supply:
    """One topic's items.

    Attributes
    ----------
    spec : DataSpec
    topic : Topic
    wanted : int
        Its share of the items.
    accepted, rejected, filled : list of Judged
        In the order in which they were drafted; ``filled`` are the nearest of the rejected ones, where they are taken.
    filling : bool
        Whether what is missing will be filled up, so that enough has to be drafted for that.
    variants : int
        Drafts that were made in place of rejected ones, at another difficulty.
    ended : str
        Why nothing more is drafted: "enough", "limit" (of drafts), "scarce" (what is left of the limit cannot bring
        what is missing), "none left" (the provider has no more); "" while it goes on.
    """

    spec: DataSpec
    topic: Topic
    wanted: int
    accepted: list[Judged] = field(default_factory=list)
    rejected: list[Judged] = field(default_factory=list)
    filled: list[Judged] = field(default_factory=list)
    filling: bool = False
    variants: int = 0
    ended: str = ""

    def __post_init__(self) -> None:
        movable = not family_named(self.topic.family).published
        self.levels = Levels(self.spec, self.topic.difficulty, movable=movable)
        self._unreplaced: list[str] = []

    @property
    def drafts(self) -> int:
        """Drafts so far."""
        return len(self.all)

    @property
    def all(self) -> list[Judged]:
        """Every draft."""
        return [*self.accepted, *self.filled, *self.rejected]

    @property
    def items(self) -> list[Judged]:
        """What it gives: the accepted ones, then those that fill up."""
        return [*self.accepted, *self.filled]

    @property
    def missing(self) -> int:
        """Items that are still wanted."""
        return self.wanted - len(self.items)

    def order(self) -> Order | None:
        """The next drafts; None where it has ended."""
        left = MOST_DRAFTS * self.wanted - self.drafts
        if not self.ended:
            self.ended = self._end(left)
        if self.ended:
            return None
        level = self.levels.current
        topic = replace(self.topic, difficulty=level.difficulty)
        return Order(topic, min(BATCH, self.missing, left), level.drafts)

    def in_place_of(self) -> str:
        """Id of the rejected draft that the next one stands for; "" where the difficulty was not moved."""
        if self.levels.current is self.levels.all[0] or not self._unreplaced:
            return ""
        return self._unreplaced.pop(0)

    def take(self, batch: Sequence[Judged]) -> None:
        """Take in drafts with their findings, and move the difficulty if too few pass."""
        for judged in batch:
            (self.accepted if judged.accepted else self.rejected).append(judged)
            self.variants += bool(judged.draft.variant_of)
        self._unreplaced += [judged.draft.example.id for judged in batch if not judged.accepted]
        self.levels.current.count([judged.accepted for judged in batch], [judged.chance for judged in batch])
        self.levels.move()

    def fill(self) -> None:
        """Take the rejected items that only their difficulty was held against, the nearest to what it should be."""
        near = self._near()
        near.sort(key=lambda judged: judged.distance(self.spec.success))  # stable: of equals the earlier
        self.filled = near[: self.missing]
        kept = {id(judged) for judged in self.filled}
        self.rejected = [judged for judged in self.rejected if id(judged) not in kept]

    def _end(self, left: int) -> str:
        if self.missing <= 0:
            return "enough"
        if left <= 0:
            return "limit"
        if not self.levels.hopeless(self.missing, left) or (self.filling and len(self._near()) < self.missing):
            return ""
        return "scarce"

    def _near(self) -> list[Judged]:
        return [judged for judged in self.rejected if set(judged.reasons) == {DIFFICULTY}]


def supplies(spec: DataSpec, *, filling: bool = False) -> list[Supply]:
    """One for every topic; where the items cannot be divided the first topics give one more."""
    share, more = divmod(spec.count, len(spec.topics))
    return [Supply(spec, topic, share + (place < more), filling=filling) for place, topic in enumerate(spec.topics)]
