"""Constraint transfer: how often a gap that was kept on validation rows is kept on test rows too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from metrics.proportions import wilson
from reports.levels.ceiling import Ceiling, Parts, ceiling
from reports.levels.contenders import Contender, Id
from reports.levels.levels import Levels
from reports.stats.scores import TaskScores

Cell = tuple[tuple[str, int, str], bool]
"""((task, place of the split, level), whether the level is kept on test rows)."""


@dataclass(frozen=True)
class Share:
    """Cells that keep a level on test rows, of those that kept it on validation rows.

    Attributes
    ----------
    kept, cells : int
        A cell is a method in one variant on one split of one task; imputed ones and those whose test gap is not
        estimable do not count.
    scenarios : int
        Different (task, split) among the cells. All methods of a scenario meet the same rows, so the interval is that
        of a share of so many independent trials, not of so many cells.
    low, high : float
        95 % interval of Wilson (JASA 1927); nan without a cell.
    ceiling, at_limit : float
        The share that a rule without any gap in the population would keep on the same test parts, and one exactly at
        the limit (:mod:`reports.levels.ceiling`), averaged over the cells; nan where it is not known.
    """

    kept: int
    cells: int
    scenarios: int
    low: float
    high: float
    ceiling: float = math.nan
    at_limit: float = math.nan

    @property
    def share(self) -> float:
        """Share of the cells that keep the level; nan without a cell."""
        return self.kept / self.cells if self.cells else math.nan


@dataclass(frozen=True)
class Transfer:
    """Shares by level of all contenders, and by contender at each level; ``overall``: by contender over all levels.

    ``ceilings``: (task, place of the split, level) → what could be kept there.
    """

    by_level: dict[str, Share]
    by_contender: dict[tuple[str, Id], Share]
    overall: dict[Id, Share]
    ceilings: Mapping[tuple[str, int, str], Ceiling] = field(default_factory=dict)

    @property
    def levels(self) -> list[str]:
        """Levels with at least one cell."""
        return [level for level, share in self.by_level.items() if share.cells]

    def on_task(self, found: Levels, task: str, level: str, contender: Contender) -> Share:
        """Share of a contender at one level of one task."""
        return _share(_cells_of(found, task, level, contender), self.ceilings)


def transfer(found: Levels, parts: Parts | None = None, scenarios: Sequence[TaskScores] = ()) -> Transfer:
    """Constraint transfer of every contender at every level, and of all of them together.

    Parameters
    ----------
    found : Levels
    parts : mapping, optional
        Test parts of the run (:func:`reports.levels.ceiling.parts_of`): without them no ceiling is known.
    scenarios : sequence of TaskScores
        Tasks of the report.
    """
    ceilings = _ceilings(found, parts or {}, scenarios)
    by_contender = {
        (level, c.id): _share(_cells(found, level, [c]), ceilings) for level in found.levels for c in found.contenders
    }
    return Transfer(
        by_level={level: _share(_cells(found, level, found.contenders), ceilings) for level in found.levels},
        by_contender={key: share for key, share in by_contender.items() if share.cells},
        overall={c.id: _share([x for level in found.levels for x in _cells(found, level, [c])], ceilings)
                 for c in found.contenders},
        ceilings=ceilings,
    )  # fmt: skip


def _cells(found: Levels, level: str, contenders: Sequence[Contender]) -> list[Cell]:
    """Every cell that counts: "any" is no level that could be kept."""
    return [cell for task in found.reached for c in contenders for cell in _cells_of(found, task, level, c)]


def _cells_of(found: Levels, task: str, level: str, contender: Contender) -> list[Cell]:
    """Cells of one contender on one task that count."""
    reached = found.get(task, level, contender)
    if reached is None:
        return []
    counts = ~reached.imputed & ~np.isnan(reached.gap) & np.isfinite(reached.limit)
    kept = reached.gap <= reached.limit
    return [((task, int(j), level), bool(kept[j])) for j in np.flatnonzero(counts)]


def _ceilings(found: Levels, parts: Parts, scenarios: Sequence[TaskScores]) -> dict[tuple[str, int, str], Ceiling]:
    """(task, place of the split, level) → what could be kept there."""
    known: dict[tuple[str, int, str], Ceiling] = {}
    for scores in scenarios:
        for level, own in found.reached.get(scores.name, {}).items():
            limits = np.fmax.reduce([reached.limit for reached in own.values()])
            for j, split in enumerate(scores.splits):
                part = parts.get((scores.name, split))
                if part is not None and math.isfinite(limits[j]):
                    known[scores.name, j, level] = ceiling(part, found.gap, float(limits[j]), scores.name)
    return known


def _share(cells: Sequence[Cell], ceilings: Mapping[tuple[str, int, str], Ceiling]) -> Share:
    kept, scenarios = sum(k for _, k in cells), len({place[:2] for place, _ in cells})
    hits = scenarios * kept / len(cells) if cells else math.nan
    could = [c for place, _ in cells if (c := ceilings.get(place)) is not None and not math.isnan(c.zero)]
    means = [float(np.mean([getattr(c, end) for c in could])) if could else math.nan for end in ("zero", "limit")]
    return Share(kept, len(cells), scenarios, *wilson(hits, scenarios), *means)
