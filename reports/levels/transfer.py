"""Constraint transfer: how often a gap that was kept on validation rows is kept on test rows too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metrics.proportions import wilson
from reports.levels.contenders import Contender, Id
from reports.levels.levels import Levels
from reports.levels.reached import Reached


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
    """

    kept: int
    cells: int
    scenarios: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Share of the cells that keep the level; nan without a cell."""
        return self.kept / self.cells if self.cells else math.nan


@dataclass(frozen=True)
class Transfer:
    """Shares by level of all contenders, and by contender at each level; ``overall``: by contender over all levels."""

    by_level: dict[str, Share]
    by_contender: dict[tuple[str, Id], Share]
    overall: dict[Id, Share]

    @property
    def levels(self) -> list[str]:
        """Levels with at least one cell."""
        return [level for level, share in self.by_level.items() if share.cells]


def transfer(found: Levels) -> Transfer:
    """Constraint transfer of every contender at every level, and of all of them together.

    Parameters
    ----------
    found : Levels
    """
    by_contender = {
        (level, c.id): _share(_cells(found, level, [c])) for level in found.levels for c in found.contenders
    }
    return Transfer(
        by_level={level: _share(_cells(found, level, found.contenders)) for level in found.levels},
        by_contender={key: share for key, share in by_contender.items() if share.cells},
        overall={c.id: _share([x for level in found.levels for x in _cells(found, level, [c])])
                 for c in found.contenders},
    )  # fmt: skip


def _cells(found: Levels, level: str, contenders: Sequence[Contender]) -> list[tuple[str, int, bool]]:
    """(task, place of the split, kept) of every cell that counts."""
    cells = []
    for task, by_level in found.reached.items():
        own: Mapping[Id, Reached] = by_level.get(level, {})
        for contender in contenders:
            reached = own.get(contender.id)
            if reached is None:
                continue
            counts = ~reached.imputed & ~np.isnan(reached.gap)
            cells += [(task, int(j), bool(reached.gap[j] <= reached.limit[j])) for j in np.flatnonzero(counts)]
    return cells


def _share(cells: Sequence[tuple[str, int, bool]]) -> Share:
    kept, scenarios = sum(k for _, _, k in cells), len({(task, split) for task, split, _ in cells})
    hits = scenarios * kept / len(cells) if cells else math.nan
    return Share(kept, len(cells), scenarios, *wilson(hits, scenarios))
