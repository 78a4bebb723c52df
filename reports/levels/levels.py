"""Utility at a fairness level: who wins when the result gap may be at most so much, and how sure that is.

A *contender* is a method in one of its variants (``reports.levels.contenders.SUFFIXES``): its own trained
configurations, or thresholds of several kinds on its chosen one. Values are those of test rows. Which gap
is bounded is an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from reports.levels.best import Best, best_at
from reports.levels.contenders import Contender, Id, contenders_of, mixtures_of, references_of, rivals_of
from reports.levels.reached import LEVELS, ByTask, Reached, reached_by_task
from reports.levels.standing import Place, Utilities, gained_by, places_of, standing_of, utilities
from reports.method import Method
from reports.names import DISPARITY
from reports.stats.contrasts import Pooled
from reports.stats.scores import TaskScores


@dataclass(frozen=True)
class Levels:
    """Everything that the table "levels" says.

    Attributes
    ----------
    contenders : tuple of Contender
        In the order of the suite, variants in theirs.
    reached : dict
        Task → level → (method, variant) → Reached.
    best : dict
        Task → one :class:`Best` per level.
    reference : Contender or None
        What ``places`` are measured from.
    places : dict
        (level, (method, variant)) → Place.
    standing : dict
        (mixture, rival, level) → Pooled.
    gained : dict
        (method, level) → Pooled, thresholds − plain.
    gap : str
        The metric that is bounded.
    values : dict
        Level → test utilities of all contenders.
    """

    contenders: tuple[Contender, ...]
    reached: ByTask
    best: dict[str, tuple[Best, ...]]
    reference: Contender | None
    places: dict[tuple[str, Id], Place]
    standing: dict[tuple[Id, Id, str], Pooled]
    gained: dict[tuple[str, str], Pooled]
    gap: str = DISPARITY
    values: dict[str, Utilities] = field(default_factory=dict)

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels that any task has, in their order."""
        have = {level for found in self.reached.values() for level in found}
        return tuple(level for level in LEVELS if level in have)

    def contender(self, id: Id) -> Contender:
        """The contender of an id."""
        return next(c for c in self.contenders if c.id == id)

    @property
    def mixtures(self) -> tuple[Contender, ...]:
        """Mixtures whose standing is told."""
        have = {mixture for mixture, _, _ in self.standing}
        return tuple(c for c in mixtures_of(self.contenders) if c.id in have)

    def rivals(self, mixture: Contender) -> tuple[Contender, ...]:
        """What a mixture is compared with."""
        have = {rival for own, rival, _ in self.standing if own == mixture.id}
        return tuple(c for c in rivals_of(self.contenders) if c.id in have)

    def get(self, task: str, level: str, contender: Contender) -> Reached | None:
        """What a contender reaches at a level of a task; None where it has no row."""
        return self.reached.get(task, {}).get(level, {}).get(contender.id)

    def has_gain(self, method: str) -> bool:
        """Whether a method is there with and without thresholds."""
        return any((method, level) in self.gained for level in self.levels)


def levels(
    table: pd.DataFrame, methods: Sequence[Method], scenarios: Sequence[TaskScores], gap: str = DISPARITY
) -> Levels | None:
    """What the table "levels" says where ``gap`` is bounded; None when it has no rows of it.

    Parameters
    ----------
    table : DataFrame
        See ``reports.table.FURTHER``.
    methods : sequence of Method
    scenarios : sequence
        Tasks of the report.
    gap : str
    """
    reached = reached_by_task(table, scenarios, gap)
    if not reached:
        return None
    have = frozenset(id for by_level in reached.values() for found in by_level.values() for id in found)
    contenders = contenders_of(methods, have)
    reference = next(iter(references_of(contenders)), None)
    sources = {s.name: s.source for s in scenarios}
    there = [level for level in LEVELS if any(level in own for own in reached.values())]
    values = {level: utilities(reached, level, contenders, sources) for level in there}
    asked = {s.name: [m.id for m in s.methods] for s in scenarios}
    return Levels(
        contenders=contenders,
        gap=gap,
        values=values,
        reached=reached,
        best={
            task: tuple(best_at(level, found, contenders, asked[task]) for level, found in own.items())
            for task, own in reached.items()
        },
        reference=reference,
        places=places_of(reached, values, contenders, reference),
        standing=standing_of(values, contenders),
        gained=gained_by(values, contenders),
    )
