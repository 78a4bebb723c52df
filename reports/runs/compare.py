"""Two runs side by side: what changed, and which change of a number is more than noise.

A scenario is a task on one split; training seeds are averaged first. On scenarios that both runs have with the same
bytes (task hash and split hash), differences are paired: per task the corrected resampled t test over splits, over
tasks the hierarchical bootstrap (:mod:`reports.stats.statistics`). Runs on other splits of the same task are compared
without pairs. Data that changed in between are named and never compared. Holm's correction runs over all tests
together; a method whose numbers are the same to the bit is no test.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from metrics.registry import spec
from reports.names import HEADLINE, larger_is_better
from reports.runs.changes import CellChanges, Change, cell_changes, changes
from reports.stats.comparison import cap_of, uncapped
from reports.stats.statistics import (
    LEVEL,
    ROUNDING,
    TEST_TRAIN_RATIO,
    Interval,
    corrected_interval,
    generator,
    hierarchical_bootstrap,
    holm,
)
from reports.table import LOST, RESULTS, Tables

Floats = NDArray[np.float64]
Verdict = Literal["better", "worse", "within noise", "identical", "one split", "not estimable"]
How = Literal["paired", "unpaired", "pooled", "rows"]
Place = tuple[str, str, str]
"""(task, protocol, use_sensitive)."""

PLACE = ["task", "protocol", "use_sensitive"]


class CompareError(ValueError):
    """Two runs that have nothing in common that can be compared."""


@dataclass(frozen=True)
class Refusal:
    """Scenarios that both runs have and that are not compared, and why."""

    task: str
    use_sensitive: str
    splits: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Difference:
    """The change of one metric of one method: second minus first.

    Attributes
    ----------
    task, use_sensitive : str
        Of a pooled test ``task`` is "all tasks".
    method, metric : str
    how : {"paired", "unpaired", "pooled", "rows"}
    first, second : float
        Means of the two runs over the scenarios of the test.
    interval : Interval
        Of the change, before Holm; ``n`` counts splits, of a pooled test tasks, of a test over rows rows.
    p_holm : float
        nan where no test was possible or none was needed.
    verdict : str
    split, seed : int or None
        Only of a test over rows.
    """

    task: str
    use_sensitive: str
    method: str
    metric: str
    how: How
    first: float
    second: float
    interval: Interval
    p_holm: float = math.nan
    verdict: Verdict = "not estimable"
    split: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class RunComparison:
    """All that is said about two runs."""

    same_numbers: bool
    changes: tuple[Change, ...]
    cells: CellChanges
    refused: tuple[Refusal, ...]
    tests: tuple[Difference, ...]
    rows: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def counting(self) -> tuple[Difference, ...]:
        """Tests that decide: those over splits, and those over rows where a task has a single split."""
        single = {(t.task, t.use_sensitive) for t in self.tests if t.verdict == "one split"}
        return (*self.tests, *(t for t in self.rows if (t.task, t.use_sensitive) in single))

    def of(self, verdict: Verdict) -> list[Difference]:
        """Tests that decide and have this verdict."""
        return [test for test in self.counting if test.verdict == verdict]

    @property
    def worsened(self) -> bool:
        """Whether a worsening is established, or a cell that was finished fails now."""
        return bool(self.of("worse") or self.cells.broken)


def compare_runs(
    first: Tables, second: Tables, metrics: Sequence[str] = (), methods: Sequence[str] = ()
) -> RunComparison:
    """Compare two runs; see the module.

    Parameters
    ----------
    first, second : Tables
        Earlier and later run; a positive change of a metric means that it grew.
    metrics : sequence of str
        Ids of the registry; default: the headline metrics.
    methods : sequence of str
        Default: every method that both runs have.

    Raises
    ------
    CompareError
        If the runs have no task in common, if the data of all common tasks differ, or if a metric or method is unknown.
    """
    wanted = tuple(metrics) or HEADLINE
    _check_names(first, second, wanted, methods)
    tables = [_picked(tables, wanted, methods) for tables in (first, second)]
    places = _common_places(first, second)
    same_seed = first.suite.get("seed") == second.suite.get("seed")
    refused: list[Refusal] = []
    scenarios: list[_Scenario] = []
    for place in places:
        scenario, refusals = _scenario(place, _at(tables[0], place), _at(tables[1], place), same_seed)
        refused += refusals
        scenarios += scenario
    if not scenarios and refused:
        raise CompareError(
            "The runs cannot be compared: the data of every task that both have differ. "
            + " ".join(f"{r.task}: {r.reason}." for r in refused[:3])
            + " Run both on the same data, or compare the tables by eye."
        )
    tests = [test for scenario in scenarios for test in _tests_of(scenario)]
    return RunComparison(
        same_numbers=_same_numbers(first, second),
        changes=tuple(changes(first, second)),
        cells=cell_changes(first, second),
        refused=tuple(refused),
        tests=judged([*tests, *_pooled(scenarios)]),
    )


def judged(tests: Sequence[Difference]) -> tuple[Difference, ...]:
    """The same tests with Holm-adjusted p-values over all of them, and verdicts."""
    p_values = [math.nan if _identical(test.interval) else test.interval.p for test in tests]
    return tuple(
        replace(test, p_holm=p, verdict=_verdict(test, p)) for test, p in zip(tests, holm(p_values), strict=True)
    )


def _verdict(test: Difference, p_holm: float) -> Verdict:
    interval = test.interval
    if math.isnan(interval.mean):
        return "not estimable"
    if _identical(interval):
        return "identical"
    if math.isnan(p_holm):
        return "one split"
    if p_holm >= 1 - LEVEL:
        return "within noise"
    return "better" if (interval.mean > 0) == larger_is_better(test.metric) else "worse"


def _identical(interval: Interval) -> bool:
    ends = [abs(x) for x in (interval.mean, interval.low, interval.high) if not math.isnan(x)]
    return bool(ends) and max(ends) <= ROUNDING


def _check_names(first: Tables, second: Tables, metrics: Sequence[str], methods: Sequence[str]) -> None:
    for metric in metrics:
        try:
            spec(metric)
        except (KeyError, ValueError) as error:
            raise CompareError(str(error.args[0])) from None
    have = [set(tables.results["method"]) for tables in (first, second)]
    for method in methods:
        if method not in have[0] & have[1]:
            raise CompareError(
                f"The method {method!r} is not in both runs; these are: {', '.join(sorted(have[0] & have[1]))}."
            )


def _common_places(first: Tables, second: Tables) -> list[Place]:
    places = [list(t.results[PLACE].drop_duplicates().itertuples(index=False, name=None)) for t in (first, second)]
    common = [place for place in places[0] if place in places[1]]
    if not common:
        told = [", ".join(dict.fromkeys(f"{task} ({protocol}, {use})" for task, protocol, use in p)) for p in places]
        raise CompareError(
            "The runs have no task in common (task, protocol, sensitive columns kept or dropped). "
            f"The first has {told[0] or 'none'}; the second has {told[1] or 'none'}. Give two runs of the same tasks."
        )
    return common


def _picked(tables: Tables, metrics: Sequence[str], methods: Sequence[str]) -> pd.DataFrame:
    rows = tables.results
    rows = rows[(rows["part"] == "test") & ~rows["status"].isin(LOST) & rows["metric"].isin(metrics)]
    return rows[rows["method"].isin(methods)] if methods else rows


def _at(rows: pd.DataFrame, place: Place) -> pd.DataFrame:
    return rows[(rows[PLACE] == list(place)).all(axis=1)]


@dataclass(frozen=True)
class _Scenario:
    """The numbers of both runs on one task: (method, metric) → one value per split."""

    place: Place
    paired: bool
    first: dict[tuple[str, str], Floats]
    second: dict[tuple[str, str], Floats]

    def differences(self, key: tuple[str, str]) -> Floats:
        return self.second[key] - self.first[key]


def _scenario(
    place: Place, first: pd.DataFrame, second: pd.DataFrame, same_seed: bool
) -> tuple[list[_Scenario], list[Refusal]]:
    """What can be compared on one task, and what must not be."""
    hashes = [rows.drop_duplicates("split").set_index("split")[["task_hash", "split_hash"]] for rows in (first, second)]
    common = sorted(set(hashes[0].index) & set(hashes[1].index))
    same_split = [s for s in common if hashes[0].loc[s, "split_hash"] == hashes[1].loc[s, "split_hash"]]
    same = [s for s in same_split if hashes[0].loc[s, "task_hash"] == hashes[1].loc[s, "task_hash"]]
    moved = [s for s in common if s not in same_split]
    refused = []
    if len(same) < len(same_split):
        revised = tuple(s for s in same_split if s not in same)
        reason = "the data, their card or their encoding have been revised in between (same split, other task hash)"
        refused.append(Refusal(place[0], place[2], revised, reason))
    if moved and same_seed:
        reason = "the rows of the data, or how they are split, have changed in between (same seed, other split hash)"
        refused.append(Refusal(place[0], place[2], tuple(moved), reason))
    if same:
        first, second = _seeds_of_both(first[first["split"].isin(same)], second[second["split"].isin(same)])
        return [_Scenario(place, True, _values(first, same), _values(second, same))], refused
    if refused or same_seed:
        return [], refused
    splits = [sorted(rows["split"].unique()) for rows in (first, second)]
    return [_Scenario(place, False, _values(first, splits[0]), _values(second, splits[1]))], refused


def _seeds_of_both(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the (method, split, seed) that both have: means over other seeds would differ by them."""
    keys = ["method", "metric", "split", "seed"]
    both = first.set_index(keys).index.intersection(second.set_index(keys).index)
    return first.set_index(keys).loc[both].reset_index(), second.set_index(keys).loc[both].reset_index()


def _values(rows: pd.DataFrame, splits: Sequence[int]) -> dict[tuple[str, str], Floats]:
    """(method, metric) → [J] mean over training seeds."""
    table = rows.groupby(["method", "metric", "split"])["estimate"].mean().unstack("split")
    table = table.reindex(columns=list(splits))
    return {(str(m), str(k)): v for (m, k), v in zip(table.index, table.to_numpy(dtype=np.float64), strict=True)}


def _tests_of(scenario: _Scenario) -> Iterator[Difference]:
    task, _, use = scenario.place
    for key in sorted(scenario.first.keys() & scenario.second.keys()):
        first, second = scenario.first[key], scenario.second[key]
        if scenario.paired:
            known = ~np.isnan(second - first)
            first, second = first[known], second[known]
            interval = corrected_interval(second - first)
        else:
            interval = unpaired_interval(first, second)
        yield Difference(
            task, use, *key, "paired" if scenario.paired else "unpaired", _mean(first), _mean(second), interval
        )


def unpaired_interval(first: Floats, second: Floats, ratio: float = TEST_TRAIN_RATIO) -> Interval:
    """mean(second) − mean(first) on different splits: Welch's interval with the corrected variances of both means.

    The variance of a mean of J splits is ``(1/J + ratio) · s²`` as in
    :func:`reports.stats.statistics.corrected_interval`; degrees of freedom after Welch and Satterthwaite. ``n`` is the
    smaller number of splits.
    """
    known = [values[~np.isnan(values)] for values in (first, second)]
    n = min(map(len, known))
    mean = _mean(known[1]) - _mean(known[0])
    if n < 2:
        return Interval(mean, math.nan, math.nan, math.nan, n)
    parts = [(1 / len(values) + ratio) * float(values.var(ddof=1)) for values in known]
    error = math.sqrt(sum(parts))
    if error <= ROUNDING:
        return Interval(mean, mean, mean, 1.0 if abs(mean) <= ROUNDING else 0.0, n)
    freedom = sum(parts) ** 2 / sum(part**2 / (len(v) - 1) for part, v in zip(parts, known, strict=True))
    half = float(special.stdtrit(freedom, (1 + LEVEL) / 2)) * error
    return Interval(mean, mean - half, mean + half, float(2 * special.stdtr(freedom, -abs(mean) / error)), n)


def _pooled(scenarios: Sequence[_Scenario]) -> Iterator[Difference]:
    """One test per method and metric over the tasks with paired splits, where there are two or more."""
    paired = [scenario for scenario in scenarios if scenario.paired]
    keys = sorted({key for s in paired for key in s.first.keys() & s.second.keys()})
    for use in sorted({scenario.place[2] for scenario in paired}):
        here = {s.place[0]: s for s in paired if s.place[2] == use}
        for key in keys:
            having = {task: s for task, s in here.items() if key in s.first and key in s.second}
            having = {task: s for task, s in having.items() if not np.isnan(s.differences(key)).all()}
            tasks = [t for t in having if cap_of(t) is None or uncapped(t) not in having]
            if len(tasks) < 2:
                continue
            interval = hierarchical_bootstrap(
                [having[t].differences(key) for t in tasks], generator("compare", use, *key)
            )
            means = [
                float(np.mean([_mean(getattr(having[t], run)[key]) for t in tasks])) for run in ("first", "second")
            ]
            yield Difference(f"all {len(tasks)} tasks", use, *key, "pooled", means[0], means[1], interval)


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _same_numbers(first: Tables, second: Tables) -> bool:
    """Whether the result tables are the same but for the name of the suite."""
    keys = [key for key in RESULTS.keys if key != "suite"]
    tables = [t.results.drop(columns="suite").sort_values(keys, ignore_index=True) for t in (first, second)]
    return bool(tables[0].equals(tables[1]))


def sentences(found: RunComparison) -> list[str]:
    """What it comes to, in plain words; the first sentence is the answer."""
    worse, better = found.of("worse"), found.of("better")
    tried = sum(not math.isnan(test.p_holm) for test in found.counting)
    if found.same_numbers:
        said = ["The numbers of both runs are the same."]
    elif worse or found.cells.broken:
        said = [f"{_count(len(worse), 'established worsening', 'established worsenings')}."] if worse else []
        if found.cells.broken:
            said.append(f"{_count(len(found.cells.broken), 'cell', 'cells')} that finished before failed now.")
    else:
        said = ["No established worsening."]
    if found.same_numbers:
        return said
    if better:
        said.append(f"{_count(len(better), 'established improvement', 'established improvements')}.")
    said.append(f"{_count(tried, 'test', 'tests')}, Holm-corrected together at {1 - LEVEL:.0%}.")
    for verdict, words in (
        ("identical", "identical to the last bit and needed no test"),
        ("one split", "on a single split, where splits cannot say what is noise"),
        ("not estimable", "not estimable in one of the runs"),
    ):
        if number := len(found.of(verdict)):  # type: ignore[arg-type]
            said.append(f"{_count(number, 'change is', 'changes are')} {words}.")
    if any(test.verdict == "one split" for test in found.tests) and not found.rows:
        said.append("--rows compares the same test rows of single splits.")
    if aside := [t for t in found.rows if t.verdict == "worse" and t not in found.counting]:
        said.append(
            f"Test rows alone would establish {_count(len(aside), 'worsening', 'worsenings')} of these trained models; "
            "where there are several splits, the splits decide."
        )
    if any(test.how == "unpaired" for test in found.tests):
        said.append(
            "The runs have different splits: differences are not paired, and only large ones can be established."
        )
        said.append("Whether the data are the same cannot be told from runs on different splits.")
    return said


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def as_json(found: RunComparison) -> dict[str, Any]:
    """Everything, for machines; numbers that are not there are null."""
    data = asdict(found) | {"worsened": found.worsened, "sentences": sentences(found)}
    return {key: _finite(value) for key, value in data.items()}


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
