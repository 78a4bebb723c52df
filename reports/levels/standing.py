"""Where contenders stand at the fairness levels over all tasks: places, mixtures against rivals, thresholds or not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metrics.holm import holm
from reports.caps import stands_back
from reports.levels.contenders import PLAIN, THRESHOLDS, Contender, Id, mixtures_of, rivals_of
from reports.levels.reached import ByTask
from reports.stats.contrasts import Pooled, verdict
from reports.stats.pooled_intervals import interval_at, pooled_intervals
from reports.stats.sources import numbered
from reports.stats.statistics import CONFIDENCE, Floats, Interval, corrected_interval


@dataclass(frozen=True)
class Place:
    """Where a contender stands at a level, over tasks.

    ``difference``: from the reference on the tasks that both have; ``ranks``: those that the data cannot rule out
    among all contenders; ``imputed`` of ``cells``: splits on which the constant predictor stands in.
    """

    difference: Interval
    ranks: tuple[int, int]
    imputed: int
    cells: int


def counting(reached: ByTask) -> list[str]:
    """Tasks that count: one on fewer rows stands back for the full one."""
    return [task for task in reached if not stands_back(task, reached)]


@dataclass(frozen=True)
class Utilities:
    """Test utilities at one level on the tasks that count.

    Attributes
    ----------
    ids : sequence of (str, str)
        Contenders, in the order of the rows.
    cube : [contenders, T, J] float
        nan where there is none.
    tasks : sequence of str
    origin : [T] str
        Each task's source.
    """

    ids: Sequence[Id]
    cube: Floats
    tasks: Sequence[str]
    origin: Sequence[str]

    @property
    def sources(self) -> tuple[int, ...]:
        """[T] number of each task's source."""
        return numbered(self.origin)

    def difference(self, first: Id, second: Id) -> Floats:
        """[T, J] of two contenders."""
        difference: Floats = self.cube[self.ids.index(first)] - self.cube[self.ids.index(second)]
        return difference


def utilities(reached: ByTask, level: str, contenders: Sequence[Contender], sources: Mapping[str, str]) -> Utilities:
    """What the contenders reach at a level; ``sources``: task → its source, every task is its own without one."""
    tasks = counting(reached)
    width = max((len(r.test) for own in reached.values() for f in own.values() for r in f.values()), default=0)
    cube = np.full((len(contenders), len(tasks), width), np.nan)
    for column, task in enumerate(tasks):
        found = reached[task].get(level, {})
        for row, contender in enumerate(contenders):
            if contender.id in found:
                values = found[contender.id].test
                cube[row, column, : len(values)] = values
    return Utilities([c.id for c in contenders], cube, tasks, [sources.get(task, task) for task in tasks])


def places_of(
    reached: ByTask, values: Mapping[str, Utilities], contenders: Sequence[Contender], reference: Contender | None
) -> dict[tuple[str, Id], Place]:
    """(level, contender) → where it stands among all contenders."""
    places: dict[tuple[str, Id], Place] = {}
    base = None if reference is None else contenders.index(reference)
    for level, found_there in values.items():
        pairs = pooled_intervals(found_there.cube[:, None] - found_there.cube[None], found_there.sources)
        for row, contender in enumerate(contenders):
            cells = [found[level][contender.id] for found in reached.values() if contender.id in found.get(level, {})]
            if not cells:
                continue
            away = (
                Interval(math.nan, math.nan, math.nan, math.nan, 0) if base is None else interval_at(pairs, (row, base))
            )
            imputed, splits = sum(int(r.imputed.sum()) for r in cells), sum(r.splits for r in cells)
            places[level, contender.id] = Place(away, rank_range(pairs, row), imputed, splits)
    return places


def rank_range(pairs: Mapping[str, Floats], row: int) -> tuple[int, int]:
    """Ranks that the data cannot rule out: as ``reports.stats.statistics.rank_interval``, over tasks."""
    others = [i for i in range(len(pairs["p"])) if i != row and pairs["n"][row, i] > 0]
    sure = [p < 1 - CONFIDENCE for p in holm([float(pairs["p"][row, i]) for i in others])]
    means = [float(pairs["mean"][row, i]) for i in others]
    better = sum(s and mean < 0 for s, mean in zip(sure, means, strict=True))
    worse = sum(s and mean > 0 for s, mean in zip(sure, means, strict=True))
    return 1 + better, len(others) + 1 - worse


def standing_of(values: Mapping[str, Utilities], contenders: Sequence[Contender]) -> dict[tuple[Id, Id, str], Pooled]:
    """(mixture, rival, level) → difference in utility over tasks."""
    rivals = [c.id for c in rivals_of(contenders)]
    found: dict[tuple[Id, Id, str], Pooled] = {}
    for level, there in values.items():
        for mixture in (c.id for c in mixtures_of(contenders)):
            differences = differences_of([there.difference(mixture, rival) for rival in rivals], there.sources)
            found |= {(mixture, r, level): d for r, d in zip(rivals, differences, strict=True) if d.tasks}
    return found


def gained_by(values: Mapping[str, Utilities], contenders: Sequence[Contender]) -> dict[tuple[str, str], Pooled]:
    """(method, level) → what thresholds add to its utility, over tasks."""
    ids = [c.id for c in contenders]
    methods = [m for m, variant in ids if variant == THRESHOLDS and (m, PLAIN) in ids]
    found: dict[tuple[str, str], Pooled] = {}
    for level, there in values.items():
        rows = [there.difference((m, THRESHOLDS), (m, PLAIN)) for m in methods]
        found |= {(m, level): d for m, d in zip(methods, differences_of(rows, there.sources), strict=True) if d.tasks}
    return found


def differences_of(rows: Sequence[Floats], sources: Sequence[int]) -> list[Pooled]:
    """Pooled differences of one question, Holm-corrected over them; single tasks are corrected in the same way.

    Parameters
    ----------
    rows : sequence of [T, J] float
    sources : [T] int
        Number of each task's source.
    """
    if not rows:
        return []
    stacked = np.stack(rows)
    pooled = pooled_intervals(stacked, sources)
    adjusted = holm([float(p) for p in pooled["p"]])
    verdicts = [_verdicts(stacked[:, task]) for task in range(stacked.shape[1])]
    return [
        Pooled(
            interval := interval_at(pooled, (row,)),
            p,
            verdict(interval, p, up=True),
            better=sum(words[row] == "better" for words in verdicts),
            worse=sum(words[row] == "worse" for words in verdicts),
            tasks=interval.n,
        )
        for row, p in enumerate(adjusted)
    ]


def _verdicts(rows: Floats) -> list[str]:
    """Verdict of each row [J] of differences on one task."""
    intervals = [corrected_interval(row) for row in rows]
    adjusted = holm([interval.p for interval in intervals])
    return [verdict(interval, p, up=True) for interval, p in zip(intervals, adjusted, strict=True)]
