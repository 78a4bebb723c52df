"""``fairmoe compare`` on folders with predictions: row by row, exit codes, and two real runs."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner, Result

from benchmarks.cli import app
from benchmarks.predictions.paired_rows import compare_rows
from benchmarks.run.failure import explain
from benchmarks.run.runner import RunSummary, run_suite
from metrics.evidence import Evidence
from metrics.score import score
from reports.runs.metric_changes import MetricChange
from reports.table import PROVENANCE, ReportError, Tables, read_core, write_results
from tasks.load import load_task
from tests.benchmarks.conftest import tiny_suite

TASK = load_task("scm")
ROWS = TASK.split.test
METRICS = ("acc@1", "fair_res@1")


def probabilities(noise: float, seed: int) -> torch.Tensor:
    """[r] in (0, 1): the label with noise on the margin."""
    rng = np.random.default_rng(seed)
    margin = 2 * TASK.labels[ROWS].numpy() - 1 + rng.normal(0, noise, len(ROWS))
    return torch.from_numpy(1 / (1 + np.exp(-margin)))


def make_run(folder: Path, probability: torch.Tensor, task_hash: str = TASK.hash) -> Tables:
    """A run of one method on one split, with its predictions, in a shuffled order, and its scores."""
    head = {
        "suite": "s", "task": "scm", "task_hash": task_hash, "protocol": "robust", "split": 0,
        "split_hash": TASK.split.hash, "use_sensitive": "keep", "seed": 0, "method": "mine", "role": "",
        "family": "own",
    }  # fmt: skip
    values = score(Evidence(probability), TASK.labels[ROWS], TASK.groups[ROWS], TASK.group_names, seed=0).values
    nan = math.nan
    results = [
        {**head, "part": "test", "metric": m, "estimate": v.estimate, "low": nan, "high": nan, "null_p95": nan,
         "status": "ok", "reason": ""}
        for m, v in values.items()
    ]  # fmt: skip
    cell = {key: head[key] for key in ("suite", "task", "method", "use_sensitive", "split", "seed")} | {"cell": "c1"}
    provenance = {**dict.fromkeys(PROVENANCE.columns, ""), **cell}
    provenance |= dict.fromkeys(
        ("wall_s", "trainable_parameters", "adapter_kib", "tokens_per_s", "explained_rows"), nan
    )
    write_results(folder, results=results, groups=[], routing=[], provenance=[provenance])
    stored = pd.DataFrame({"row": TASK.rows[ROWS].numpy(), "part": "test", "probability": probability.float().numpy()})
    (folder / "predictions").mkdir()
    stored.sample(frac=1, random_state=0).to_parquet(folder / "predictions" / "c1.parquet", index=False)
    suite = {"tasks": ["scm"], "methods": ["mine"], "seed": 0, "seeds": 1, "splits": 1, "protocol": "robust"}
    (folder / "suite.json").write_text(json.dumps(suite))
    return read_core(folder)


def by_row(folders: tuple[Path, Path], tables: tuple[Tables, Tables]) -> dict[str, MetricChange]:
    found = compare_rows(folders, tables, METRICS)
    assert not found.notes
    return {test.metric: test for test in found.tests}


@pytest.fixture
def pair(tmp_path: Path) -> tuple[tuple[Path, Path], tuple[Tables, Tables]]:
    folders = (tmp_path / "a", tmp_path / "b")
    return folders, (make_run(folders[0], probabilities(0.8, 0)), make_run(folders[1], probabilities(2.5, 1)))


def test_stored_predictions_give_the_scores_of_the_table(pair: tuple[tuple[Path, Path], tuple[Tables, Tables]]) -> None:
    folders, tables = pair
    for metric, test in by_row(folders, tables).items():
        told = [t.results.set_index("metric").loc[metric, "estimate"] for t in tables]
        assert (test.first, test.second) == (pytest.approx(told[0]), pytest.approx(told[1]))
        assert test.interval.mean == pytest.approx(told[1] - told[0])


def test_the_interval_is_that_of_resampled_rows(pair: tuple[tuple[Path, Path], tuple[Tables, Tables]]) -> None:
    test = by_row(*pair)["acc@1"]
    labels = TASK.labels[ROWS].numpy()
    right = [(probabilities(noise, seed).numpy() > 0.5) == labels for noise, seed in ((0.8, 0), (2.5, 1))]
    change = right[1].astype(float) - right[0].astype(float)
    rng = np.random.default_rng(0)
    draws = np.array([change[rng.integers(len(change), size=len(change))].mean() for _ in range(4000)])
    low, high = np.quantile(draws, [0.025, 0.975])
    assert test.interval.low == pytest.approx(low, abs=0.004) and test.interval.high == pytest.approx(high, abs=0.004)
    assert test.verdict == "worse"


def test_the_same_predictions_are_identical_and_noise_is_noise(tmp_path: Path) -> None:
    folders = (tmp_path / "a", tmp_path / "b", tmp_path / "c")
    first = probabilities(1.0, 0)
    flipped = first.clone()
    flipped[:4] = 1 - flipped[:4]
    tables = [make_run(f, p) for f, p in zip(folders, (first, first.clone(), flipped), strict=True)]
    assert {t.verdict for t in by_row(folders[:2], (tables[0], tables[1])).values()} == {"identical"}
    noise = by_row((folders[0], folders[2]), (tables[0], tables[2]))
    assert noise["acc@1"].interval.mean != 0 and noise["acc@1"].verdict == "within noise"


def test_rows_decide_where_there_is_a_single_split(pair: tuple[tuple[Path, Path], tuple[Tables, Tables]]) -> None:
    (first, second), _ = pair
    assert compare(first, second).exit_code == 0
    done = compare(first, second, "--rows", "--json", str(first.parent / "out.json"))
    assert done.exit_code == 1, done.output
    assert "established worsening" in done.output and "worse" in done.output
    assert json.loads((first.parent / "out.json").read_text())["worsened"] is True
    assert compare(second, first, "--rows", "--metric", "acc@1").exit_code == 0


def test_without_predictions_or_with_other_data_it_says_why(
    tmp_path: Path, pair: tuple[tuple[Path, Path], tuple[Tables, Tables]]
) -> None:
    (first, second), tables = pair
    shutil.rmtree(second / "predictions")
    assert "predictions are not in both" in compare_rows((first, second), tables, METRICS).notes[0]
    other = [make_run(tmp_path / n, probabilities(1.0, 0), task_hash="other") for n in ("c", "d")]
    found = compare_rows((tmp_path / "c", tmp_path / "d"), (other[0], other[1]), METRICS)
    assert "data at hand are not those of the runs" in found.notes[0] and not found.tests
    assert "metrics of counts only" in compare_rows((first, second), tables, ["auc@1"]).notes[0]


def compare(first: Path, second: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["compare", str(first), str(second), *options])


def test_what_cannot_be_compared_is_exit_code_2_and_one_paragraph(tmp_path: Path) -> None:
    make_run(tmp_path / "a", probabilities(1.0, 0))
    make_run(tmp_path / "b", probabilities(1.0, 0), task_hash="other")
    command = [sys.executable, "-c", "from benchmarks.cli import main; main()", "compare"]
    done = subprocess.run(
        [*command, str(tmp_path / "a"), str(tmp_path / "b")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stdout
    assert "The runs cannot be compared" in done.stderr and "Traceback" not in done.stderr
    missing = compare(tmp_path / "a", tmp_path / "none").exception
    assert isinstance(missing, ReportError) and "There is no results.parquet" in str(explain(missing))


def test_a_real_run_and_itself_are_the_same_numbers(finished: tuple[Path, RunSummary]) -> None:
    done = compare(finished[0], finished[0])
    assert done.exit_code == 0, (done.output, done.exception)
    assert "The numbers of both runs are the same." in done.output


def test_a_real_run_with_less_training(finished: tuple[Path, RunSummary], tmp_path: Path, quiet: Console) -> None:
    """The same task and split with a fifth of the steps: named in the changes, compared row by row."""
    budget = {"steps": 20, "eval_every": 10, "warm_up": 0, "rungs": ()}
    suite = tiny_suite(budget=budget, trials=2, methods=("utility", "constant"))
    run_suite(suite, tmp_path / "run", workers=1, strict=True, console=quiet)
    done = compare(finished[0], tmp_path / "run", "--rows", "--all", "--method", "constant", "--method", "utility")
    assert done.exit_code in (0, 1), (done.output, done.exception)
    assert "budget.steps" in done.output and "trials" in done.output and "only in the first run" in done.output
    assert "identical" in done.output  # the constant predictor
