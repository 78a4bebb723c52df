"""A suite in bounded memory from a Parquet file to a page: what an ordinary run leaves, twice the same, in shards."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from benchmarks.cells.digests import damages
from benchmarks.commands.runs.next_step import choose_hint
from benchmarks.plan.recorded import read_plan
from benchmarks.plan.shard import Shard
from benchmarks.plan.suite import Suite
from benchmarks.run.collect import RunSummary
from benchmarks.run.rebuild import RebuildError, open_cell
from benchmarks.run.runner import run_suite
from benchmarks.streaming.measured import made_table
from benchmarks.streaming.run import run_streamed
from benchmarks.tracking.mlflow_store import finished_cells, open_tracker, unsent
from metrics.points import COUNT_METRICS
from tests.benchmarks.conftest import tiny_suite
from tests.benchmarks.merging.test_whole_run import compared, merged

METHODS = ("utility", "result", "constant", "lightgbm", "gbdt_utility")


def suite_of(card: Path, **changes: object) -> Suite:
    """Two trials of two seeds on one card."""
    settings: dict[str, object] = {"tasks": (str(card),), "protocol": "robust", "trials": 2, "seeds": 2}
    return tiny_suite(**{**settings, "methods": METHODS, **changes})


def run(suite: Suite, output: Path, console: Console, shard: Shard | None = None) -> RunSummary:
    summary, peak = run_streamed(suite, output, max_memory=4, named=True, console=console, shard=shard)
    assert summary.ok and peak > 0 and (output / "leaderboard.html").is_file()
    return summary


@pytest.mark.slow
def test_from_a_file_to_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: Console) -> None:
    """All methods have values, reasons say how many rows they speak of, and all that an ordinary run leaves is there.

    A second run of other folders gives the same bytes, and so does one that goes on where cells are missing.
    """
    card, one, two = made_table(tmp_path, 6000), tmp_path / "one", tmp_path / "two"
    suite = suite_of(card)
    run(suite, one, quiet)
    cells = list(finished_cells(one))
    assert len(cells) == 2 * len(METHODS) and [damages(cell) for cell in cells] == [[]] * len(cells)
    assert unsent(cells) == []
    assert len(open_tracker().client.search_runs([open_tracker().experiment])) == len(cells)
    plan = read_plan(one)
    assert plan is not None and plan.suite["rows_in_files"] and len(plan.jobs) == 1
    _check_tables(one)
    assert choose_hint(one) == ""
    with pytest.raises(RebuildError, match="with --max-memory: its rows stayed in files"):
        open_cell(one, "big", 0, "utility")

    again = run(suite, one, quiet)
    assert again.computed == 0
    before = {cell.name: (cell / "files.json").stat().st_mtime_ns for cell in cells}
    lost = next(cell for cell in cells if (cell / "trees.txt").is_file() and (cell / "trials.json").is_file())
    shutil.rmtree(lost)
    run(suite, one, quiet)
    after = {cell.name: (cell / "files.json").stat().st_mtime_ns for cell in finished_cells(one)}
    assert {name for name in after if after[name] != before[name]} == {lost.name}

    monkeypatch.setenv("FAIRMOE_HOME", str(tmp_path / "another home"))
    run(suite, two, quiet)
    assert compared(two) == compared(one)


def _check_tables(output: Path) -> None:
    results = pd.read_csv(output / "results.csv")
    assert set(results.method) == set(METHODS) and set(results.seed) == {0, 1}
    test = results[(results.part == "test") & (results.seed == 0)].set_index(["method", "metric"])
    assert (test.loc["utility"].status == "ok").all()
    assert "on a stratified sample of 500 rows" in test.loc[("utility", "fair_proc@1")].reason
    assert all(test.loc[(method, "auc@1")].estimate > 0.7 for method in ("lightgbm", "gbdt_utility"))
    assert test.loc[("constant", "dp@1")].status == "degenerate"
    seeds = results[(results.part == "test") & (results.metric == "auc@1")].pivot_table("estimate", "method", "seed")
    assert seeds.loc["utility", 0] != seeds.loc["utility", 1] and seeds.loc["constant", 0] == seeds.loc["constant", 1]
    assert set(results[results.seed == 1].part) == {"test"}
    provenance = pd.read_csv(output / "provenance.csv")
    assert (provenance.explained_rows == 500).all() and provenance.mlflow_run_id.notna().all()


@pytest.mark.slow
def test_shards_merged_are_one_run(tmp_path: Path, quiet: Console) -> None:
    """Two splits computed apart and merged are the bytes of one run."""
    suite = suite_of(made_table(tmp_path, 3000), splits=2, seeds=1, methods=("utility", "constant"))
    run(suite, tmp_path / "whole", quiet)
    shards = [tmp_path / "shard 1", tmp_path / "shard 2"]
    for number, folder in enumerate(shards):
        run(suite, folder, quiet, Shard(number + 1, 2))
        assert f"SHARD {number + 1} OF 2: NOT THE WHOLE SUITE" in (folder / "leaderboard.md").read_text()
    assert merged(shards[::-1], tmp_path / "all").ok
    assert compared(tmp_path / "all") == compared(tmp_path / "whole")


@pytest.mark.slow
def test_trees_from_files_are_those_of_memory(tmp_path: Path, quiet: Console) -> None:
    """Where the samples hold all rows, LightGBM's trials, choice, trees and metrics of counts are the same."""
    methods = ("constant", "lightgbm", "gbdt_utility")
    suite = suite_of(made_table(tmp_path, 3000), seeds=1, methods=methods)
    run(suite, tmp_path / "files", quiet)
    run_suite(suite, tmp_path / "memory", workers=1, strict=True, console=quiet)
    values = []
    for name in ("files", "memory"):
        table = pd.read_csv(tmp_path / name / "results.csv")
        held = table[(table.part == "test") & table.metric.isin(COUNT_METRICS)]
        values.append(held.set_index(["method", "metric"])[["estimate", "low", "high", "null_p95"]].sort_index())
    assert set(values[0].index.get_level_values("method")) == set(methods)
    pd.testing.assert_frame_equal(*values, check_exact=True)


def test_a_method_that_fails_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: Console) -> None:
    """The others are scored; the same command computes what is missing."""
    card = made_table(tmp_path, 1500)
    suite = suite_of(card, seeds=1, methods=("constant", "lightgbm"))
    with monkeypatch.context() as patch:
        patch.setattr("experts.trees.stored_rows.boosted", _broken)
        summary, _ = run_streamed(suite, tmp_path / "out", max_memory=4, named=True, console=quiet)
    assert [failure["method"] for failure in summary.failures] == ["lightgbm"]
    statuses = pd.read_csv(tmp_path / "out" / "results.csv").groupby("method").status.unique()
    assert statuses["lightgbm"].tolist() == ["failed"] and "ok" in statuses["constant"]
    assert run(suite, tmp_path / "out", quiet).computed == 1


def _broken(*_: object, **__: object) -> None:
    raise RuntimeError("no trees today")
