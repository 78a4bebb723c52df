"""What all contenders reach at one level, as arrays over the tasks of a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reports.answer.setting import ALL, Setting
from reports.levels.contenders import Contender
from reports.levels.levels import Levels
from reports.levels.standing import counting
from reports.stats.sources import numbered
from reports.stats.statistics import Floats


@dataclass(frozen=True)
class Arrays:
    """Contenders that have rows where it is asked.

    Attributes
    ----------
    contenders : tuple of Contender
        C of them, in the order of the suite.
    tasks : tuple of str
        T of them; a task on fewer rows stands back for the full one.
    origin : tuple of str
        Each task's source.
    test, validation, gap : [C, T, J] float
        Utility on test rows and on the rows that choose, gap on test rows; nan where there is none.
    imputed, asked : [C, T, J] bool
        Splits on which the constant predictor stands in, and those with a row.
    """

    contenders: tuple[Contender, ...]
    tasks: tuple[str, ...]
    origin: tuple[str, ...]
    test: Floats
    validation: Floats
    gap: Floats
    imputed: NDArray[np.bool_]
    asked: NDArray[np.bool_]

    @property
    def sources(self) -> tuple[int, ...]:
        """[T] number of each task's source."""
        return numbered(self.origin)

    @cached_property
    def covered(self) -> NDArray[np.int64]:
        """[C] tasks on which a contender has a test utility."""
        found: NDArray[np.int64] = (~np.isnan(self.test)).any(axis=2).sum(axis=1)
        return found

    @cached_property
    def complete(self) -> NDArray[np.bool_]:
        """[C] whether a contender is on as many tasks as any: only such ones are compared over all of them."""
        found: NDArray[np.bool_] = self.covered == self.covered.max(initial=0)
        return found

    @cached_property
    def feasible(self) -> NDArray[np.bool_]:
        """[C] whether it keeps the level on more than half of the splits without the constant predictor's help."""
        found: NDArray[np.bool_] = 2 * self.imputed.sum(axis=(1, 2)) < self.asked.sum(axis=(1, 2))
        return found

    @cached_property
    def worth(self) -> Floats:
        """[C] mean over tasks of the mean utility over splits on the rows that choose; nan without any."""
        return means_over(self.validation)


def means_over(values: Floats) -> Floats:
    """[C] means over tasks of means over splits, of [C, T, J]; nan where there is nothing."""
    return _mean(_mean(values))


def _mean(values: Floats) -> Floats:
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    found: Floats = np.where(count > 0, np.where(known, values, 0.0).sum(axis=-1) / np.maximum(count, 1), np.nan)
    return found


def arrays_of(found: Levels, setting: Setting, sources: Sequence[tuple[str, str]]) -> Arrays:
    """Arrays of the contenders that have rows where a question asks; ``sources``: (task, source) of every task."""
    origin = dict(sources)
    tasks = [setting.task] if setting.task != ALL else counting(found.reached)
    tasks = [task for task in tasks if setting.level in found.reached.get(task, {})]
    there = [found.reached[task][setting.level] for task in tasks]
    contenders = tuple(c for c in found.contenders if any(c.id in own for own in there))
    width = max((len(r.test) for own in there for r in own.values()), default=0)
    shape = (len(contenders), len(tasks), width)
    test, validation, gap = (np.full(shape, np.nan) for _ in range(3))
    imputed, asked = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for row, contender in enumerate(contenders):
        for column, own in enumerate(there):
            reached = own.get(contender.id)
            if reached is not None:
                place = (row, column, slice(0, len(reached.test)))
                test[place], validation[place], gap[place] = reached.test, reached.validation, reached.gap
                imputed[place], asked[place] = reached.imputed, ~np.isnan(reached.limit)
    origins = tuple(origin.get(task, task) for task in tasks)
    return Arrays(contenders, tuple(tasks), origins, test, validation, gap, imputed, asked)
