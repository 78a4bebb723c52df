"""All questions of a run with their answers: every gap, level and task."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from reports.answer.answer import Answer, Beside, answer
from reports.answer.arrays import Arrays, arrays_of
from reports.answer.setting import ALL, Setting
from reports.levels.contenders import OOF, THRESHOLDS, VARIANTS, Id
from reports.levels.levels import Levels
from reports.levels.transfer import Share, Transfer
from reports.stats.scores import TaskScores
from reports.stats.statistics import Floats
from reports.table import select

REASONS = "fair_proc@1"
"""The procedural gap of the table."""


Answers = dict[Setting, Answer]

Key = tuple[str, str, str, Id]
"""(gap, level, task, contender)."""


def answers(
    bounded: Sequence[tuple[Levels, Transfer]], table: pd.DataFrame, scenarios: Sequence[TaskScores]
) -> Answers:
    """Answers to all questions that the table ``levels`` can answer, over all tasks first.

    Parameters
    ----------
    bounded : sequence of (Levels, Transfer)
        What is known where each gap is bounded.
    table : DataFrame
        The table ``levels``: says the procedural gap of the very models at some levels.
    scenarios : sequence of TaskScores
    """
    measured = _measured(table, scenarios)
    sources = [(s.name, s.source) for s in scenarios]
    found: Answers = {}
    for levels, moved in bounded:
        for setting in _settings(levels):
            arrays = arrays_of(levels, setting, sources)
            if len(arrays.contenders):
                beside = Beside(
                    _kept(levels, moved, setting, arrays),
                    _procedural(setting, arrays, measured, scenarios),
                    _seconds(arrays, scenarios),
                )
                found[setting] = answer(setting, arrays, beside)
    return found


def _settings(found: Levels) -> Iterator[Setting]:
    for task in (ALL, *found.reached):
        yield from (Setting(found.gap, level, task) for level in found.levels)


def _kept(levels: Levels, moved: Transfer, setting: Setting, arrays: Arrays) -> Mapping[Id, Share]:
    if setting.level == "any":
        return {}
    if setting.task == ALL:
        shares = {c.id: moved.by_contender.get((setting.level, c.id)) for c in arrays.contenders}
    else:
        shares = {c.id: moved.on_task(levels, setting.task, setting.level, c) for c in arrays.contenders}
    return {id: share for id, share in shares.items() if share is not None and share.cells}


def _measured(table: pd.DataFrame, scenarios: Sequence[TaskScores]) -> dict[Key, dict[int, float]]:
    """Procedural gaps on test rows by split, of contenders where the table tells them."""
    rows = table[(table["metric"] == REASONS) & (table["procedural"] == "") & table["variant"].isin(VARIANTS)]
    found: dict[Key, dict[int, float]] = {}
    for scores in scenarios:
        own = select(rows, **scores.where)
        columns = ("gap", "level", "method", "variant", "split", "estimate")
        for gap, level, method, variant, split, value in zip(*(own[c].tolist() for c in columns), strict=True):
            found.setdefault((gap, level, scores.name, (method, variant)), {})[split] = value
    return found


def _procedural(
    setting: Setting, arrays: Arrays, measured: Mapping[Key, Mapping[int, float]], scenarios: Sequence[TaskScores]
) -> dict[Id, tuple[Floats, bool]]:
    """Contender → [T, J], and whether it is that of the very model."""
    here = {s.name: s for s in scenarios}
    shape = arrays.test.shape[1:]
    found: dict[Id, tuple[Floats, bool]] = {}
    for contender in arrays.contenders:
        own, chosen = np.full(shape, np.nan), np.full(shape, np.nan)
        for t, task in enumerate(arrays.tasks):
            told = measured.get((setting.gap, setting.level, task, contender.id), {})
            own[t, : len(here[task].splits)] = [told.get(split, math.nan) for split in here[task].splits]
            values = here[task].values.get((contender.method.id, REASONS))
            if values is not None:
                chosen[t, : len(values)] = values
        exact = contender.variant in (THRESHOLDS, OOF) and not np.isnan(own).all()
        values = own if exact else chosen
        if not np.isnan(values).all():
            found[contender.id] = (values, exact)
    return found


def _seconds(arrays: Arrays, scenarios: Sequence[TaskScores]) -> dict[str, float]:
    """Method → mean over the tasks asked of what it cost."""
    found: dict[str, list[float]] = {}
    for scores in scenarios:
        if scores.name in arrays.tasks:
            for method, cost in scores.cost.items():
                found.setdefault(method, []).append(cost.get("wall_s", math.nan))
    return {method: float(np.mean(known)) for method, own in found.items()
            if (known := [v for v in own if not math.isnan(v)])}  # fmt: skip
