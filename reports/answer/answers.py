"""All questions of a run with their answers: every gap, level and task."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.answer.answer import Answer, Beside, Price, answer
from reports.answer.arrays import Arrays, arrays_of
from reports.answer.setting import ALL, Setting
from reports.levels.contenders import VARIANTS, Contender, Id
from reports.levels.levels import Levels
from reports.levels.transfer import Share, Transfer
from reports.stats.pooled_intervals import pooled_interval
from reports.stats.scores import TaskScores
from reports.stats.statistics import Floats, Interval
from reports.table import select

REASONS = "fair_proc@1"
"""The procedural gap of the table."""

WORST = "worst_acc@1"
"""Accuracy of the group that has the lowest."""

FREE = "any"
"""Level that limits nothing."""


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
    reasons, worst = (_told(table, metric, scenarios) for metric in (REASONS, WORST))
    sources = [(s.name, s.source) for s in scenarios]
    found: Answers = {}
    free: dict[str, tuple[Arrays, Answer]] = {}
    for levels, moved in bounded:
        for setting in _settings(levels):
            arrays = arrays_of(levels, setting, sources)
            if len(arrays.contenders):
                beside = Beside(
                    _kept(levels, moved, setting, arrays),
                    *_procedural(setting, arrays, reasons, scenarios),
                    _seconds(arrays, scenarios),
                )
                own = answer(setting, arrays, beside)
                if setting.level == FREE:
                    free.setdefault(setting.task, (arrays, own))
                elif setting.task in free:
                    own = replace(own, price=_price((arrays, own), free[setting.task], worst, scenarios))
                found[setting] = own
    return found


def _price(
    bound: tuple[Arrays, Answer],
    free: tuple[Arrays, Answer],
    worst: Mapping[Key, Mapping[int, float]],
    scenarios: Sequence[TaskScores],
) -> Price | None:
    """What the limit costs, on the tasks of the question."""
    (here, own), (there, other) = bound, free
    if own.best is None or other.best is None or here.tasks != there.tasks:
        return None
    contenders = own.best.contender, other.best.contender
    values = [a.test[a.contenders.index(c)] for a, c in zip((here, there), contenders, strict=True)]
    accuracy = [
        _interval(_by_split(a.setting, worst, arrays.tasks, a.best.contender, scenarios), arrays)
        for arrays, a in (bound, free)
        if a.best is not None
    ]
    return Price(contenders[1], pooled_interval(list(values[0] - values[1]), here.sources), accuracy[0], accuracy[1])


def _interval(values: Floats, arrays: Arrays) -> Interval | None:
    return None if np.isnan(values).all() else pooled_interval(list(values), arrays.sources)


def _settings(found: Levels) -> Iterator[Setting]:
    """No limit first: what a limit costs is told against it."""
    levels = sorted(found.levels, key=lambda level: level != FREE)
    for task in (ALL, *found.reached):
        yield from (Setting(found.gap, level, task) for level in levels)


def _kept(levels: Levels, moved: Transfer, setting: Setting, arrays: Arrays) -> Mapping[Id, Share]:
    if setting.level == FREE:
        return {}
    if setting.task == ALL:
        shares = {c.id: moved.by_contender.get((setting.level, c.id)) for c in arrays.contenders}
    else:
        shares = {c.id: moved.on_task(levels, setting.task, setting.level, c) for c in arrays.contenders}
    return {id: share for id, share in shares.items() if share is not None and share.cells}


def _told(table: pd.DataFrame, metric: str, scenarios: Sequence[TaskScores]) -> dict[Key, dict[int, float]]:
    """A further metric on test rows by split, of contenders where the table tells it."""
    rows = table[(table["metric"] == metric) & (table["procedural"] == "") & table["variant"].isin(VARIANTS)]
    found: dict[Key, dict[int, float]] = {}
    for scores in scenarios:
        own = select(rows, **scores.where)
        columns = ("gap", "level", "method", "variant", "split", "estimate")
        for gap, level, method, variant, split, value in zip(*(own[c].tolist() for c in columns), strict=True):
            found.setdefault((gap, level, scores.name, (method, variant)), {})[split] = value
    return found


def _by_split(
    setting: Setting,
    told: Mapping[Key, Mapping[int, float]],
    tasks: Sequence[str],
    contender: Contender,
    scenarios: Sequence[TaskScores],
) -> Floats:
    """[T, J] of a further metric of one contender."""
    splits = {s.name: s.splits for s in scenarios}
    values = np.full((len(tasks), max(len(splits[task]) for task in tasks)), np.nan)
    for t, task in enumerate(tasks):
        known = told.get((setting.gap, setting.level, task, contender.id), {})
        values[t, : len(splits[task])] = [known.get(split, math.nan) for split in splits[task]]
    return values


def _procedural(
    setting: Setting, arrays: Arrays, told: Mapping[Key, Mapping[int, float]], scenarios: Sequence[TaskScores]
) -> tuple[Floats, NDArray[np.bool_]]:
    """[C, T, J] of every contender, and [C] whether it is that of the very model; else that of the chosen one."""
    here = {s.name: s for s in scenarios}
    values = np.full(arrays.test.shape, np.nan)
    measured = np.zeros(len(arrays.contenders), dtype=bool)
    for row, contender in enumerate(arrays.contenders):
        own = _by_split(setting, told, arrays.tasks, contender, scenarios)
        measured[row] = not np.isnan(own).all()
        if measured[row]:
            values[row, :, : own.shape[1]] = own
            continue
        for t, task in enumerate(arrays.tasks):
            chosen = here[task].values.get((contender.method.id, REASONS), np.full(0, np.nan))
            values[row, t, : len(chosen)] = chosen
    return values, measured


def _seconds(arrays: Arrays, scenarios: Sequence[TaskScores]) -> dict[str, float]:
    """Method → mean over the tasks asked of what it cost."""
    found: dict[str, list[float]] = {}
    for scores in scenarios:
        if scores.name in arrays.tasks:
            for method, cost in scores.cost.items():
                found.setdefault(method, []).append(cost.get("wall_s", math.nan))
    return {method: float(np.mean(known)) for method, own in found.items()
            if (known := [v for v in own if not math.isnan(v)])}  # fmt: skip
