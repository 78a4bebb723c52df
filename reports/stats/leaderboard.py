"""The headline table over all tasks: one row per method, in pools of methods that were asked for on the same tasks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reports.caps import stands_back
from reports.method import Method
from reports.names import HEADLINE
from reports.stats.hypervolume import VERSION, by_method
from reports.stats.rank_tests import RankTests, rank_tests
from reports.stats.ranking import Bools, Ranked, Ranking, Unranked, rank_methods
from reports.stats.resampling import FEW_TASKS, Resampling
from reports.stats.scores import TaskScores
from reports.stats.sources import numbered
from reports.stats.statistics import Floats
from reports.stats.task_means import MEANS, TaskMean, draw, task_means
from reports.stats.variance import Spread, spreads
from reports.table import LOST, Tables


@dataclass(frozen=True)
class Line:
    """A method's row of the headline table."""

    method: Method
    columns: Mapping[str, TaskMean]
    wall_s: float
    constant: int
    """Tasks on which it is (nearly) constant."""
    tasks: int

    @property
    def degenerate(self) -> bool:
        """Whether it is (nearly) constant on half of the tasks or more."""
        return 0 < self.tasks <= 2 * self.constant


@dataclass(frozen=True)
class Pool:
    """Methods that were asked for on all of some tasks, compared on these.

    Attributes
    ----------
    tasks : tuple of str
        Names of the tasks that count: one on fewer rows stands back where it is there in full too.
    sources : int
        What they come from: the clusters of all intervals.
    scenarios : int
        Their splits, all together.
    lines : tuple of Line
        In the order of the suite.
    rankings : dict
        Headline metric → ranking.
    tests : dict
        Headline metric → rank tests over tasks.
    """

    tasks: tuple[str, ...]
    sources: int
    scenarios: int
    lines: tuple[Line, ...]
    rankings: Mapping[str, Ranking]
    tests: Mapping[str, RankTests]

    @property
    def few(self) -> bool:
        """Whether there are so few sources that intervals are very wide."""
        return self.sources < FEW_TASKS

    @property
    def columns(self) -> list[str]:
        """Columns in which any method has a number."""
        return [column for column in MEANS if any(line.columns[column].known for line in self.lines)]

    @property
    def best_first(self) -> list[Line]:
        """Lines by mean rank in utility; those without a rank last."""
        ranking = self.rankings[HEADLINE[0]]
        place = {row.method.id: i for i, row in enumerate(ranking.rows)}
        return sorted(self.lines, key=lambda line: place.get(line.method.id, len(place)))

    def ranked(self, method: str, metric: str) -> Ranked | None:
        """Rank of a method; None when it has none."""
        found = self.rankings[metric].of(method)
        return found if isinstance(found, Ranked) else None

    def unranked(self, method: str, metric: str) -> Unranked | None:
        """What a method lacks for a rank; None when it has one, or was not asked for."""
        found = self.rankings[metric].of(method)
        return found if isinstance(found, Unranked) else None


@dataclass(frozen=True)
class Leaderboard:
    """Statistics over scenarios: the pools, largest number of tasks first, and where the spread comes from."""

    pools: tuple[Pool, ...]
    spreads: Mapping[tuple[str, str], Spread]
    """(method, headline metric) → spread by splits and by seeds; empty with one seed."""
    seeds: int


def leaderboard(tables: Tables, scenarios: Sequence[TaskScores], levels: Mapping[str, pd.DataFrame]) -> Leaderboard:
    """Rankings and headline tables of a run.

    Parameters
    ----------
    tables : Tables
    scenarios : sequence of TaskScores
        All tasks of the report.
    levels : mapping
        Task's name → its rows of the table ``levels``.
    """
    test = tables.results[tables.results["part"] == "test"]
    asked = _asked(tables.suite["asked"], scenarios)
    lost = _lost(test)
    volumes = {s.name: by_method(s, levels[s.name]) for s in scenarios}
    methods = {m.id: m for s in scenarios for m in s.methods}
    order = [methods[m] for m in sorted(methods, key=lambda m: methods[m].number)]
    pools = [
        _pool([s for s in scenarios if s.name in tasks], [m for m in order if tasks <= asked[m.id]], volumes, lost)
        for tasks in _task_sets(asked.values())
    ]
    return Leaderboard(tuple(pools), spreads(test, HEADLINE), int(test["seed"].nunique()))


def _asked(jobs: Iterable[Mapping[str, Any]], scenarios: Sequence[TaskScores]) -> dict[str, frozenset[str]]:
    """Method → names of the tasks that it was asked for, or has rows in."""
    names = {(s.task, s.protocol, s.use_sensitive): s.name for s in scenarios}
    found = {m.id: {s.name for s in scenarios if m in s.methods} for s in scenarios for m in s.methods}
    for job in jobs:
        name = names.get((job["task"], job["protocol"], job["use_sensitive"]))
        for method in {m for methods in job["cells"].values() for m in methods} if name else ():
            if method in found and name:
                found[method].add(name)
    return {method: frozenset(tasks) for method, tasks in found.items()}


def _task_sets(asked: Iterable[frozenset[str]]) -> list[frozenset[str]]:
    """Different sets of tasks, largest first; a task on fewer rows is dropped where it is there in full too."""
    whole = {frozenset(t for t in tasks if not stands_back(t, tasks)) for tasks in asked}
    return sorted(whole, key=lambda tasks: (-len(tasks), sorted(tasks)))


def _lost(test: pd.DataFrame) -> dict[tuple[str, str, str, int, str], str]:
    """(task, protocol, use of sensitive columns, split, method) → status of a cell that was not computed."""
    rows = test[test["status"].isin(LOST)]
    keys = rows[["task", "protocol", "use_sensitive", "split", "method"]].itertuples(index=False, name=None)
    return dict(zip(keys, rows["status"], strict=True))


def _pool(
    scenarios: Sequence[TaskScores],
    methods: Sequence[Method],
    volumes: Mapping[str, Mapping[str, Floats]],
    lost: Mapping[tuple[str, str, str, int, str], str],
) -> Pool:
    names = [(s.name, split) for s in scenarios for split in s.splits]
    statuses = _statuses(scenarios, methods, lost)
    sources = {s.name: s.source for s in scenarios}

    def drawn(splits: Mapping[str, int]) -> Resampling:
        return draw(tuple(splits.values()), numbered([sources[task] for task in splits]))

    rankings = {
        metric: rank_methods(metric, methods, _values(scenarios, methods, metric), statuses, names, drawn)
        for metric in HEADLINE
    }
    tests = {
        metric: rank_tests(metric, found.task_values, found.sources) for metric, found in rankings.items() if found.rows
    }
    return Pool(
        tuple(s.name for s in scenarios),
        len(set(sources.values())),
        len(names),
        tuple(_lines(scenarios, methods, volumes)),
        rankings,
        tests,
    )


def _values(scenarios: Sequence[TaskScores], methods: Sequence[Method], metric: str) -> Floats:
    """[S, M] test values."""
    return np.vstack(
        [
            np.column_stack([s.values.get((m.id, metric), np.full(len(s.splits), math.nan)) for m in methods])
            for s in scenarios
        ]
    )


def _statuses(
    scenarios: Sequence[TaskScores],
    methods: Sequence[Method],
    lost: Mapping[tuple[str, str, str, int, str], str],
) -> list[dict[int, str]]:
    """Per method: scenario → what stands there instead of a number, if a number is missing."""
    found: list[dict[int, str]] = [{} for _ in methods]
    start = 0
    for s in scenarios:
        computed = _computed(s)
        for own, method in zip(found, methods, strict=True):
            known = computed.get(method.id)
            for i, split in enumerate(s.splits):
                status = lost.get((s.task, s.protocol, s.use_sensitive, split, method.id))
                if status is None and known is not None and known[i]:
                    status = "not_estimable"
                if status is not None:
                    own[start + i] = status
        start += len(s.splits)
    return found


def _computed(scenario: TaskScores) -> dict[str, Bools]:
    """Method → [J] whether any metric has a number on a split."""
    found: dict[str, Bools] = {}
    for (method, _), values in scenario.values.items():
        known = ~np.isnan(values)
        found[method] = found[method] | known if method in found else known
    return found


def _lines(
    scenarios: Sequence[TaskScores], methods: Sequence[Method], volumes: Mapping[str, Mapping[str, Floats]]
) -> list[Line]:
    columns = {
        metric: task_means(scenarios, methods, _values(scenarios, methods, metric), metric) for metric in MEANS[:-1]
    }
    volume = np.vstack(
        [
            np.column_stack([volumes[s.name].get(m.id, np.full(len(s.splits), math.nan)) for m in methods])
            for s in scenarios
        ]
    )
    columns[VERSION] = task_means(scenarios, methods, volume, VERSION)
    return [
        Line(
            method,
            {metric: found[k] for metric, found in columns.items()},
            _mean([s.cost[method.id]["wall_s"] for s in scenarios if method.id in s.cost]),
            sum(s.degenerate(method.id) for s in scenarios),
            sum(method in s.methods for s in scenarios),
        )
        for k, method in enumerate(methods)
    ]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
