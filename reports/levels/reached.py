"""What each contender reaches at each fairness level of each task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.levels.contenders import VARIANTS, Id
from reports.names import DISPARITY, UTILITY
from reports.stats.scores import TaskScores
from reports.stats.statistics import Floats, Interval, level_interval
from reports.table import select

LEVELS = ("0.01", "0.02", "0.05", "0.10", "any", "half", "quarter")
"""Fairness levels: the allowed gap on the rows that choose: a number, none, or a share of the unmitigated gap."""

FIXED = LEVELS[:5]
"""Levels that are the same on all tasks: those of figures and of the overview."""

GAPS = (DISPARITY, "dp@1")
"""Result gaps that are bounded: the main one, then those of tables of their own."""


@dataclass(frozen=True)
class Reached:
    """What a contender reaches at one level of one task, by split; nan where a split has no row.

    Attributes
    ----------
    test, validation : [J] float
        ``utility@1``.
    gap : [J] float
        The bounded gap on test rows.
    limit : [J] float
        The allowed gap.
    imputed : [J] bool
        Nothing kept the level on validation rows: the constant predictor stands in.
    """

    test: Floats
    validation: Floats
    gap: Floats
    limit: Floats
    imputed: NDArray[np.bool_]

    @cached_property
    def interval(self) -> Interval:
        """Mean test utility with the corrected interval over splits."""
        return level_interval(self.test)

    @cached_property
    def gap_interval(self) -> Interval:
        """Mean test gap with the corrected interval over splits."""
        return level_interval(self.gap)

    @property
    def splits(self) -> int:
        """Splits with a row."""
        return int((~np.isnan(self.limit)).sum())

    @property
    def kept(self) -> int:
        """Splits that are not imputed and whose test gap keeps the level too."""
        return int((~self.imputed & (self.gap <= self.limit)).sum())

    @property
    def feasible(self) -> bool:
        """Whether it keeps the level on more than half of the splits without the constant predictor's help."""
        return 2 * int(self.imputed.sum()) < self.splits


ByTask = dict[str, dict[str, dict[Id, Reached]]]
"""Task → level → (method, variant) → Reached."""


def reached_by_task(table: pd.DataFrame, scenarios: Sequence[TaskScores], gap: str = DISPARITY) -> ByTask:
    """Task → level → contender → what it reaches where ``gap`` is bounded, of the rows of the table ``levels``.

    Rows with a bound on reasons are left out.
    """
    wanted = table[(table["gap"] == gap) & (table["procedural"] == "") & table["metric"].isin([UTILITY, gap, "limit"])]
    wanted = wanted[wanted["variant"].isin(VARIANTS)]
    found: ByTask = {}
    for scores in scenarios:
        own = _by_level(select(wanted, **scores.where), scores.splits, gap)
        if own:
            found[scores.name] = own
    return found


def _by_level(rows: pd.DataFrame, splits: Sequence[int], gap: str) -> dict[str, dict[Id, Reached]]:
    """Level → contender → values, of the rows of one task; levels in their order."""
    columns = {(UTILITY, "estimate"): 0, (UTILITY, "validation"): 1, (gap, "estimate"): 2, ("limit", "estimate"): 3}
    place = {split: j for j, split in enumerate(splits)}
    values: dict[tuple[str, Id], Floats] = {}
    imputed: dict[tuple[str, Id], NDArray[np.bool_]] = {}
    names = ("level", "method", "variant", "metric", "split", "estimate", "validation", "status")
    for level, method, variant, metric, split, estimate, validation, status in zip(
        *(rows[name].tolist() for name in names), strict=True
    ):
        key = (level, (method, variant))
        if key not in values:
            values[key] = np.full((4, len(splits)), np.nan)
            imputed[key] = np.zeros(len(splits), dtype=bool)
        for column, value in (("estimate", estimate), ("validation", validation)):
            if (metric, column) in columns:
                values[key][columns[metric, column], place[split]] = value
        imputed[key][place[split]] = status == "imputed"
    found: dict[str, dict[Id, Reached]] = {level: {} for level in LEVELS}
    for (level, id), own in values.items():
        if level in found:
            found[level][id] = Reached(own[0], own[1], own[2], own[3], imputed[level, id])
    return {level: own for level, own in found.items() if own}
