"""Predictions of a finished run: found by task and split, scored as they were, and what is not there is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.predictions.reading import PredictionError
from benchmarks.predictions.run_folder import stored_predictions
from benchmarks.run.runner import RunSummary
from reports.table import read_core
from tasks.load import load_task
from tests.benchmarks.test_cli import fairmoe_here

Finished = tuple[Path, RunSummary]


def test_every_method_is_scored_as_the_run_scored_it(finished: Finished) -> None:
    folder, _ = finished
    done = fairmoe_here("score", "--task", "scm", "--predictions", str(folder), "--metrics", "acc,dp,auc", "--json")
    assert done.returncode == 0, done.stderr
    results = read_core(folder).results
    test = results[(results["part"] == "test") & (results["status"] != "not_estimable")]
    told = {(row.method, row.metric): row.estimate for row in test.itertuples()}
    found = json.loads(done.stdout)["methods"]
    assert {one["method"] for one in found} == set(test["method"])
    for one in found:
        for metric in ("acc@1", "dp@1"):
            assert one["metrics"][metric]["estimate"] == pytest.approx(told[one["method"], metric], abs=1e-12)


def test_methods_stand_side_by_side_in_80_columns(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = finished
    monkeypatch.setenv("COLUMNS", "80")
    done = fairmoe_here("score", "--task", "scm", "--predictions", str(folder / "predictions"), "--method", "lightgbm",
                   "--method", "constant")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "lightgbm" in done.stdout and "0.000*" in done.stdout and "* degenerate" in done.stdout
    one = fairmoe_here("score", "--task", "scm", "--predictions", str(folder), "--method", "lightgbm")
    assert "by group: rates with 95 % intervals" in one.stdout and max(map(len, one.stdout.splitlines())) <= 80


def test_what_a_run_does_not_have_is_named(finished: Finished, tmp_path: Path) -> None:
    folder, _ = finished
    with pytest.raises(
        PredictionError, match=r"no predictions .* of scm \(robust, split 1\); it has scm \(robust, split 0\)"
    ):
        stored_predictions(folder, load_task("scm", split=1))
    with pytest.raises(PredictionError, match="The run's seed is 0: give --seed 0"):
        stored_predictions(folder, load_task("scm", seed=3))
    with pytest.raises(PredictionError, match="no finished predictions of catbost on scm, split 0; it has those of"):
        stored_predictions(folder, load_task("scm"), ["catbost"])
    copy = tmp_path / "run"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("jobs"))
    shutil.rmtree(copy / "predictions")
    with pytest.raises(PredictionError, match=r"lacks predictions/.*\.parquet.*Run the same bench command again"):
        stored_predictions(copy, load_task("scm"))
