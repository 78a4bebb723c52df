"""Two runs side by side: the same numbers, noise, a planted worsening, other data, other splits."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.render.run_words import as_json, sentences
from reports.runs.changes import cell_changes, changes
from reports.runs.comparison import RunComparison, compare_runs
from reports.runs.metric_changes import unpaired_interval
from reports.runs.pairing import CompareError
from reports.stats.statistics import corrected_interval
from reports.table import PROVENANCE, Tables, read_core, write_results

TASKS = ("german", "scm", "adult:sex")
METHODS = ("mixture", "constant")
VALUES = {"utility@1": 0.7, "fair_res@1": 0.1, "fair_proc@1": 0.05, "final@1": 0.55}
SUITE = {
    "name": "s", "tasks": list(TASKS), "methods": list(METHODS), "protocol": "robust", "splits": 5, "seeds": 2,
    "seed": 0, "trials": 4, "use_sensitive": ["keep"], "budget": {"steps": 100}, "unavailable": [], "failures": [],
    "tracking_error": "", "code_version": "0.1", "environment_hash": "e", "libraries": {"numpy": "2"}, "python": "3.11",
    "hash": "h",
}  # fmt: skip


def make_run(folder: Path, estimate: Any = None, head: Any = None, skip: Any = None, **suite: Any) -> Tables:
    """A run on disk and read again.

    ``estimate(row, value, noise)`` changes a number, ``head(row)`` a hash or a status, ``skip(row)`` drops a row.
    """
    results = []
    for task in TASKS:
        for split in range(5):
            noise = np.random.default_rng([TASKS.index(task), split]).normal(0, 0.02)
            for seed in range(2):
                for method in METHODS:
                    for metric, value in VALUES.items():
                        row = {
                            "suite": "s", "task": task, "task_hash": f"{task}{split}", "protocol": "robust",
                            "split": split, "split_hash": f"{split}", "use_sensitive": "keep", "seed": seed,
                            "method": method, "role": "mixture", "family": "mlp", "part": "test", "metric": metric,
                            "estimate": value + noise, "low": math.nan, "high": math.nan, "null_p95": math.nan,
                            "status": "ok", "reason": "",
                        }  # fmt: skip
                        row["estimate"] = estimate(row, row["estimate"]) if estimate else row["estimate"]
                        row |= head(row) if head else {}
                        if not (skip and skip(row)):
                            results.append(row)
    write_results(folder, results=results, groups=[], routing=[], provenance=[])
    settings = SUITE | suite
    cells = dict.fromkeys(range(settings["seeds"]), settings["methods"])
    asked = [
        {"task": task, "protocol": "robust", "use_sensitive": "keep", "split": split, "cells": cells}
        for task in TASKS
        for split in range(settings["splits"])
    ]
    (folder / "suite.json").write_text(json.dumps(settings | {"asked": asked}))
    return read_core(folder)


def worse_mixture(row: dict[str, Any], value: float) -> float:
    """The mixture loses 0.03 utility on every scenario, a little more on some."""
    planted = row["method"] == "mixture" and row["metric"] == "utility@1"
    return value - 0.03 - 0.0001 * row["split"] if planted else value


def noisy(seed: int) -> Any:
    """Independent noise on every number."""
    rng = np.random.default_rng(seed)
    return lambda row, value: value + rng.normal(0, 0.02)


@pytest.fixture
def first(tmp_path: Path) -> Tables:
    return make_run(tmp_path / "a")


def verdicts(found: RunComparison, **where: str) -> set[str]:
    return {t.verdict for t in found.tests if all(getattr(t, key) == value for key, value in where.items())}


def test_identical_runs_are_the_same_numbers(first: Tables, tmp_path: Path) -> None:
    found = compare_runs(first, make_run(tmp_path / "b"))
    assert found.same_numbers and not found.worsened and not found.changes
    assert verdicts(found) == {"identical"}
    assert sentences(found) == ["The numbers of both runs are the same."]


def test_a_worsening_on_every_split_is_established_where_it_is_and_only_there(first: Tables, tmp_path: Path) -> None:
    found = compare_runs(first, make_run(tmp_path / "b", worse_mixture))
    assert found.worsened
    assert verdicts(found, method="mixture", metric="utility@1") == {"worse"}
    assert verdicts(found, method="constant") == {"identical"}
    assert verdicts(found, method="mixture", metric="fair_res@1") == {"identical"}
    test = next(t for t in found.tests if t.task == "german" and t.verdict == "worse")
    assert test.interval.mean == pytest.approx(-0.0302)
    assert test.second - test.first == pytest.approx(-0.0302)
    assert sentences(found)[0] == "4 established worsenings."  # three tasks, and all of them pooled


def test_the_other_way_round_is_an_improvement(first: Tables, tmp_path: Path) -> None:
    found = compare_runs(make_run(tmp_path / "b", worse_mixture), first)
    assert not found.worsened
    assert verdicts(found, method="mixture", metric="utility@1") == {"better"}


def test_a_larger_gap_is_worse(first: Tables, tmp_path: Path) -> None:
    def wider(row: dict[str, Any], value: float) -> float:
        return value + (0.05 + 0.0001 * row["split"]) * (row["metric"] == "fair_res@1")

    larger = make_run(tmp_path / "b", wider)
    assert verdicts(compare_runs(first, larger), metric="fair_res@1") == {"worse"}


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_noise(first: Tables, tmp_path: Path, seed: int) -> None:
    found = compare_runs(first, make_run(tmp_path / "b", noisy(seed)))
    assert not found.worsened and not found.of("better")
    assert verdicts(found) == {"within noise"}
    assert sentences(found)[0] == "No established worsening."


def test_one_worse_split_of_five_is_not_established(first: Tables, tmp_path: Path) -> None:
    found = compare_runs(first, make_run(tmp_path / "b", lambda row, v: v - 0.2 * (row["split"] == 0)))
    assert not found.worsened


def test_holm_runs_over_all_tests_that_were_needed(first: Tables, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    second = make_run(tmp_path / "b", lambda row, v: v + rng.normal(-0.01, 0.002) * (row["method"] == "mixture"))
    found = compare_runs(first, second)
    tested = [t for t in found.tests if not math.isnan(t.p_holm)]
    assert len(tested) == 4 * 4  # metrics × (tasks and pooled); the constant's are identical
    smallest = min(tested, key=lambda t: t.interval.p)
    assert smallest.p_holm == pytest.approx(min(1.0, 16 * smallest.interval.p))


def test_paired_differences_are_means_over_seeds_then_the_corrected_t_test(first: Tables, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    shifts = rng.normal(0, 0.02, (5, 2))
    second = make_run(tmp_path / "b", lambda row, v: v + shifts[row["split"], row["seed"]])
    found = compare_runs(first, second, ["utility@1"], ["mixture"])
    test = next(t for t in found.tests if t.task == "scm")
    expected = corrected_interval(shifts.mean(1))
    assert (test.interval.mean, test.interval.p) == (pytest.approx(expected.mean), pytest.approx(expected.p))
    assert {t.metric for t in found.tests} == {"utility@1"} and {t.method for t in found.tests} == {"mixture"}


def test_seeds_that_only_one_run_has_do_not_count(first: Tables, tmp_path: Path) -> None:
    second = make_run(tmp_path / "b", lambda row, v: v + (0.5 if row["seed"] else 0.0))
    one = make_run(tmp_path / "c", skip=lambda row: row["seed"] == 1, seeds=1)
    assert verdicts(compare_runs(one, second)) == {"identical"}
    assert len(cell_changes(one, second).only_second) == 3 * 5 * 2


def test_revised_data_are_named_and_not_compared(first: Tables, tmp_path: Path) -> None:
    revised = lambda row: {"task_hash": "new"} if row["task"] == "german" else {}  # noqa: E731
    found = compare_runs(first, make_run(tmp_path / "b", worse_mixture, revised))
    assert [(r.task, r.splits) for r in found.refused] == [("german", (0, 1, 2, 3, 4))]
    assert "revised" in found.refused[0].reason
    assert not [t for t in found.tests if t.task == "german"] and found.worsened


def test_data_that_all_differ_cannot_be_compared(first: Tables, tmp_path: Path) -> None:
    with pytest.raises(CompareError, match="data of every task that both have differ"):
        compare_runs(first, make_run(tmp_path / "b", head=lambda row: {"task_hash": "new" + row["task"]}))


def test_another_split_of_the_same_seed_is_changed_data(first: Tables, tmp_path: Path) -> None:
    other = lambda row: {"task_hash": "new", "split_hash": "new"}  # noqa: E731
    with pytest.raises(CompareError, match="same seed, other split hash"):
        compare_runs(first, make_run(tmp_path / "b", head=other))


def test_another_seed_is_compared_without_pairs_and_says_so(first: Tables, tmp_path: Path) -> None:
    other = lambda row: {"task_hash": "x" + row["task_hash"], "split_hash": "x" + row["split_hash"]}  # noqa: E731
    found = compare_runs(first, make_run(tmp_path / "b", noisy(3), other, seed=1))
    assert {t.how for t in found.tests} == {"unpaired"} and not found.worsened
    assert "different splits" in " ".join(sentences(found))
    assert [(c.what, c.first, c.second) for c in found.changes] == [("seed", "0", "1")]
    much = make_run(tmp_path / "c", lambda row, v: v - 0.5 * (row["metric"] == "utility@1"), other, seed=1)
    assert compare_runs(first, much).worsened


def test_unpaired_interval_by_hand() -> None:
    first, second = np.array([0.0, 2.0]), np.array([5.0, 9.0])
    found = unpaired_interval(first, second, ratio=0.5)
    # variances 2 and 8; each mean has (1/2 + 1/2) s² → 2 + 8 = 10; freedom 100 / (4 + 64)
    assert found.mean == 6.0
    error, freedom = math.sqrt(10), 100 / 68
    from scipy import stats

    assert found.p == pytest.approx(2 * stats.t.sf(6 / error, freedom))
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, freedom) * error)


def test_unpaired_without_correction_is_welch() -> None:
    from scipy import stats

    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 6), rng.normal(1, 3, 9)
    assert unpaired_interval(first, second, ratio=0.0).p == pytest.approx(
        stats.ttest_ind(second, first, equal_var=False).pvalue
    )


def test_a_single_split_says_that_it_cannot_tell(tmp_path: Path) -> None:
    only = lambda row: row["split"] > 0  # noqa: E731
    found = compare_runs(
        make_run(tmp_path / "a", skip=only, splits=1), make_run(tmp_path / "b", worse_mixture, skip=only, splits=1)
    )
    assert verdicts(found, method="mixture", metric="utility@1", how="paired") == {"one split"}
    assert "--rows" in " ".join(sentences(found))


@pytest.mark.parametrize("status", ["failed", "timeout"])
def test_a_cell_that_fails_now_is_a_worsening_and_is_named(first: Tables, tmp_path: Path, status: str) -> None:
    def fails(row: dict[str, Any]) -> bool:
        return row["task"] == "scm" and row["method"] == "mixture" and row["split"] == 2 and row["seed"] == 1

    def broken(row: dict[str, Any]) -> dict[str, Any]:
        return {"status": status, "estimate": math.nan, "task_hash": "", "split_hash": ""} if fails(row) else {}

    found = compare_runs(first, make_run(tmp_path / "b", head=broken))
    assert found.cells.broken == ("scm · mixture · split 2 · seed 1 · sensitive keep",)
    assert found.worsened and "1 cell that finished before failed now." in sentences(found)
    back = compare_runs(make_run(tmp_path / "b", head=broken), first)
    assert not back.worsened and back.cells.mended == found.cells.broken


def test_no_common_task_and_unknown_names_are_explained(first: Tables, tmp_path: Path) -> None:
    other = make_run(tmp_path / "b", head=lambda row: {"task": "x" + row["task"]})
    with pytest.raises(CompareError, match=r"no task in common.*german \(robust, keep\)"):
        compare_runs(first, other)
    with pytest.raises(CompareError, match="fair_res@1"):
        compare_runs(first, first, ["fair_rse@1"])
    with pytest.raises(CompareError, match="'mixtur' is not in both runs; these are: constant, mixture"):
        compare_runs(first, first, methods=["mixtur"])


def test_changes_name_settings_lists_nested_settings_and_versions(first: Tables, tmp_path: Path) -> None:
    second = make_run(
        tmp_path / "b", trials=9, methods=["mixture", "uniform"], budget={"steps": 200}, code_version="0.2",
        libraries={"numpy": "3"}, tracking_error="down",
    )  # fmt: skip
    found = {change.what: (change.first, change.second) for change in changes(first, second)}
    assert found == {
        "methods": ("only constant", "only uniform"), "trials": ("4", "9"), "budget.steps": ("100", "200"),
        "code version": ("0.1", "0.2"), "library.numpy": ("2", "3"),
    }  # fmt: skip


def test_cells_with_another_key_are_told_by_method(tmp_path: Path) -> None:
    def run(name: str, keys: dict[str, str]) -> Tables:
        tables = make_run(tmp_path / name)
        rows = [
            {**dict.fromkeys(PROVENANCE.columns, ""), "task": task, "method": method, "use_sensitive": "keep",
             "split": 0, "seed": 0, "cell": key + task}
            for method, key in keys.items()
            for task in TASKS
        ]  # fmt: skip
        provenance = pd.DataFrame(rows, columns=list(PROVENANCE.columns))
        return dataclasses.replace(tables, provenance=provenance)

    first = run("a", {"mixture": "1", "constant": "2"})
    assert not changes(first, run("b", {"mixture": "1", "constant": "2"}))
    (change,) = changes(first, run("c", {"mixture": "9", "constant": "2"}))
    assert (change.what, change.second) == ("cells with another key", "mixture (3)")


def test_missing_cells_of_each_run_are_named(first: Tables, tmp_path: Path) -> None:
    second = make_run(tmp_path / "b", skip=lambda row: row["task"] == "scm" and row["split"] == 0)
    cells = cell_changes(first, second)
    assert not cells.missing_first and len(cells.missing_second) == 4 == len(cells.only_first)


def test_json_is_whole_and_plain(first: Tables, tmp_path: Path) -> None:
    data = as_json(compare_runs(first, make_run(tmp_path / "b", worse_mixture)))
    text = json.dumps(data, allow_nan=False)
    assert json.loads(text)["worsened"] is True
    assert {"task", "method", "metric", "interval", "p_holm", "verdict"} <= data["tests"][0].keys()
