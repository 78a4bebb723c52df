"""Two runs side by side: what changed, and which change of a number is more than noise.

A scenario is a task on one split; training seeds are averaged first. On scenarios that both runs have with the same
bytes (task hash and split hash), differences are paired: per task the corrected resampled t test over splits, over
tasks the hierarchical bootstrap (:mod:`reports.stats.statistics`). Runs on other splits of the same task are compared
without pairs. Data that changed in between are named and never compared. Holm's correction runs over all tests
together; a method whose numbers are the same to the bit is no test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from metrics.registry import spec
from reports.names import HEADLINE
from reports.runs.changes import CellChanges, Change, cell_changes, changes
from reports.runs.metric_changes import MetricChange, Verdict, judged, pooled_tests, tests_of
from reports.runs.pairing import PLACE, CompareError, Place, Refusal, RunScenario, common_places, scenario_of_both
from reports.table import LOST, RESULTS, Tables


@dataclass(frozen=True)
class RunComparison:
    """All that is said about two runs."""

    same_numbers: bool
    changes: tuple[Change, ...]
    cells: CellChanges
    refused: tuple[Refusal, ...]
    tests: tuple[MetricChange, ...]
    rows: tuple[MetricChange, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def counting(self) -> tuple[MetricChange, ...]:
        """Tests that decide: those over splits, and those over rows where a task has a single split."""
        single = {(t.task, t.use_sensitive) for t in self.tests if t.verdict == "one split"}
        return (*self.tests, *(t for t in self.rows if (t.task, t.use_sensitive) in single))

    def of(self, verdict: Verdict) -> list[MetricChange]:
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
    places = common_places(first, second)
    same_seed = first.suite.get("seed") == second.suite.get("seed")
    refused: list[Refusal] = []
    scenarios: list[RunScenario] = []
    for place in places:
        scenario, refusals = scenario_of_both(place, _at(tables[0], place), _at(tables[1], place), same_seed)
        refused += refusals
        scenarios += scenario
    if not scenarios and refused:
        raise CompareError(
            "The runs cannot be compared: the data of every task that both have differ. "
            + " ".join(f"{r.task}: {r.reason}." for r in refused[:3])
            + " Run both on the same data, or compare the tables by eye."
        )
    tests = [test for scenario in scenarios for test in tests_of(scenario)]
    return RunComparison(
        same_numbers=_same_numbers(first, second),
        changes=tuple(changes(first, second)),
        cells=cell_changes(first, second),
        refused=tuple(refused),
        tests=judged([*tests, *pooled_tests(scenarios)]),
    )


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


def _picked(tables: Tables, metrics: Sequence[str], methods: Sequence[str]) -> pd.DataFrame:
    rows = tables.results
    rows = rows[(rows["part"] == "test") & ~rows["status"].isin(LOST) & rows["metric"].isin(metrics)]
    return rows[rows["method"].isin(methods)] if methods else rows


def _at(rows: pd.DataFrame, place: Place) -> pd.DataFrame:
    return rows[(rows[PLACE] == list(place)).all(axis=1)]


def _same_numbers(first: Tables, second: Tables) -> bool:
    """Whether the result tables are the same but for the name of the suite."""
    keys = [key for key in RESULTS.keys if key != "suite"]
    tables = [t.results.drop(columns="suite").sort_values(keys, ignore_index=True) for t in (first, second)]
    return bool(tables[0].equals(tables[1]))
