"""A run from nothing to pages: what it writes, that it is deterministic, and that it goes on after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console

from benchmarks.run.runner import RunSummary, run_suite
from metrics.evidence import Evidence
from metrics.score import score
from tasks.load import load_task
from tests.benchmarks.conftest import TINY_METHODS, tiny_suite

ROOT = Path(__file__).resolve().parents[3]
Finished = tuple[Path, RunSummary]


def results(output: Path) -> pd.DataFrame:
    return pd.read_csv(output / "results.csv")


def test_every_method_has_every_metric_of_both_parts(finished: Finished) -> None:
    table = results(finished[0])
    assert set(table["method"]) == set(TINY_METHODS)
    counts = table.groupby(["method", "part"])["metric"].nunique()
    assert counts.min() >= 25
    assert set(table["part"]) == {"validation", "test"}


def test_no_time_or_run_id_is_in_the_results(finished: Finished) -> None:
    assert not {"wall_s", "finished", "mlflow_run_id"} & set(results(finished[0]).columns)
    provenance = pd.read_csv(finished[0] / "provenance.csv")
    assert (provenance["wall_s"] >= 0).all() and provenance["mlflow_run_id"].notna().all()


def test_the_constant_predictor_is_flagged_and_has_no_gap(finished: Finished) -> None:
    table = results(finished[0]).query("method == 'constant' and part == 'test' and metric == 'dp@1'")
    assert table["estimate"].item() == 0
    assert table["status"].item() == "degenerate"


def test_predictions_hold_no_labels_and_score_again_to_the_same_numbers(finished: Finished) -> None:
    output, _ = finished
    row = results(output).query("method == 'mixture' and part == 'test' and metric == 'dp@1'")
    provenance = pd.read_csv(output / "provenance.csv").query("method == 'mixture'")
    stored = pd.read_parquet(output / "predictions" / f"{provenance['cell'].item()}.parquet")
    assert not {"label", "labels", "y"} & set(stored.columns)
    task = load_task("scm")
    test = stored[stored["part"] == "test"].set_index("row").loc[task.rows[task.split.test].numpy()]
    rows = task.split.test
    evidence = Evidence(torch.tensor(test["probability"].to_numpy()))
    again = score(evidence, task.labels[rows], task.groups[rows], task.group_names, seed=0)
    assert again.values["dp@1"].estimate == pytest.approx(row["estimate"].item(), abs=1e-12)


def test_tuning_results_have_the_known_names(finished: Finished) -> None:
    (tune,) = (finished[0] / "jobs").glob("*/tune")
    for role in ("utility", "result", "procedural"):
        found = json.loads((tune / f"scm_{role}_tuning_results.json").read_text())
        assert found["best_params"] and found["best_metrics"]["utility@1"] > 0.5
        assert (tune / f"scm_{role}_best.safetensors").exists()
    assert (tune / "scm_expert_tuning_summary.json").exists()


def test_pages_are_written(finished: Finished) -> None:
    output, summary = finished
    assert {path.name for path in summary.pages} >= {"leaderboard.html", "leaderboard.md"}
    page = (output / "leaderboard.html").read_text()
    assert "scm" in page and "<script src=" not in page


def test_a_second_run_computes_nothing(finished: Finished, quiet: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (finished[0] / "results.csv").read_bytes()
    summary = run_suite(tiny_suite(), finished[0], workers=1, strict=True, console=quiet)
    assert summary.computed == 0
    assert (finished[0] / "results.csv").read_bytes() == before


def test_same_seed_same_bytes(finished: Finished, tmp_path: Path, quiet: Console) -> None:
    run_suite(tiny_suite(), tmp_path / "again", workers=1, strict=True, console=quiet)
    assert (tmp_path / "again" / "results.csv").read_bytes() == (finished[0] / "results.csv").read_bytes()


def test_another_seed_has_another_split_and_other_trials(finished: Finished, tmp_path: Path, quiet: Console) -> None:
    other = tmp_path / "other"
    run_suite(tiny_suite(seed=1, methods=("constant", "result")), other, workers=1, strict=True, console=quiet)
    assert not set(results(finished[0])["split_hash"]) & set(results(other)["split_hash"])
    found = [next(output.glob("jobs/*/tune/scm_result_tuning_results.json")) for output in (finished[0], other)]
    trials = [json.loads(path.read_text())["trials"] for path in found]
    assert trials[0][0]["params"] != trials[1][0]["params"]


def test_two_seeds_are_two_cells_of_each_method_on_the_same_split(tmp_path: Path, quiet: Console) -> None:
    suite = tiny_suite(seeds=2, trials=2, methods=("utility", "logistic_regression"))
    summary = run_suite(suite, tmp_path / "run", workers=1, strict=True, console=quiet)
    assert summary.ok, summary.failures
    table = results(tmp_path / "run").query("part == 'test' and metric == 'brier@1'")
    assert sorted(zip(table["method"], table["seed"], strict=True)) == [
        ("logistic_regression", 0), ("logistic_regression", 1), ("utility", 0), ("utility", 1),
    ]  # fmt: skip
    assert table["split_hash"].nunique() == 1
    assert table.query("method == 'utility'")["estimate"].nunique() == 2


def test_a_second_run_with_nothing_changed_writes_nothing_and_a_lost_page_comes_back(
    tmp_path: Path, quiet: Console
) -> None:
    def run() -> RunSummary:
        return run_suite(tiny_suite(methods=("constant",)), tmp_path, workers=1, strict=True, console=quiet)

    pages = run().pages
    times = {page: page.stat().st_mtime_ns for page in pages}
    again = run()
    assert again.computed == 0 and again.pages == pages
    assert {page: page.stat().st_mtime_ns for page in pages} == times
    text = pages[0].read_bytes()
    pages[0].write_text("spoilt")
    assert run().pages == pages and pages[0].read_bytes() == text


KILLER = """
import os, signal, sys
from pathlib import Path
from rich.console import Console
from benchmarks.run.compute import run_job
from benchmarks.run.deaths import forget_deaths
from benchmarks.run.telling.ledger import Ledger
from benchmarks.plan.job import plan
from tasks.registry import resolve
from tests.benchmarks.conftest import tiny_suite

target, part = sys.argv[2], float(sys.argv[3])
reached = Ledger.reached

def far_enough(ledger, entry, share, **seed):  # what was reached is on record when this kills
    reached(ledger, entry, share, **seed)
    if entry == target and share >= part:
        os.kill(os.getpid(), signal.SIGKILL)

def notify(job, stage, share):
    if stage == target and not stage.startswith("tune"):
        os.kill(os.getpid(), signal.SIGKILL)

Ledger.reached = far_enough
(job,) = plan(tiny_suite(seeds=int(sys.argv[4])), {"scm": resolve("scm").card.hash})
forget_deaths([Path(sys.argv[1]) / "jobs" / job.folder])  # as a run does that follows one that was ended from outside
run_job(job, Path(sys.argv[1]) / "jobs", notify)
"""


STAGES = (
    ("tune utility", 0.5),  # after the first of two batches
    ("tune result", 0.5),
    ("tune procedural", 0.5),
    ("tune combined", 0.5),
    ("bag gbdt_utility", 0),
    ("bag linear_result", 0),
    ("gate_dense", 0),
    ("mixture", 0),
    ("lightgbm 2/4", 0),
    ("score", 0),
)
"""In the order in which a run comes to them."""


@pytest.mark.slow
def test_killed_in_every_stage_and_resumed_gives_the_same_bytes(
    finished: Finished, tmp_path: Path, quiet: Console
) -> None:
    """One run, killed in each stage in turn: each resumption stands on what all the killed ones left."""
    for stage, part in STAGES:
        command = [sys.executable, "-c", KILLER, str(tmp_path / "run"), stage, str(part), "1"]
        killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
        assert killed.returncode == -signal.SIGKILL, stage
    run_suite(tiny_suite(), tmp_path / "run", workers=1, strict=True, console=quiet)
    assert (tmp_path / "run" / "results.csv").read_bytes() == (finished[0] / "results.csv").read_bytes()


@pytest.mark.slow
def test_killed_between_two_seeds_and_resumed_gives_the_same_bytes(tmp_path: Path, quiet: Console) -> None:
    suite = tiny_suite(seeds=2)
    run_suite(suite, tmp_path / "whole", workers=1, strict=True, console=quiet)
    command = [sys.executable, "-c", KILLER, str(tmp_path / "run"), "repeat result", "0", "2"]
    killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert killed.returncode == -signal.SIGKILL
    run_suite(tiny_suite(), tmp_path / "run", workers=1, strict=True, console=quiet)  # the first seed alone …
    run_suite(suite, tmp_path / "run", workers=1, strict=True, console=quiet)  # … and then the other
    assert (tmp_path / "run" / "results.csv").read_bytes() == (tmp_path / "whole" / "results.csv").read_bytes()


WAITS = """
import time
from pathlib import Path

from sklearn.linear_model import LogisticRegression

HERE = Path(__file__).parent


class Waits(LogisticRegression):
    def fit(self, X, y):
        (HERE / "started").touch()
        while not (HERE / "go").exists():
            time.sleep(0.05)
        return super().fit(X, y)
"""


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished_and_the_command_goes_on(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(WAITS)
    command = [sys.executable, "-m", "benchmarks", "bench", "quick", "--task", "scm", "--output", str(tmp_path / "run")]
    command += ["--splits", "1", "--trials", "4", "--jobs", "1", "--method", "constant"]
    command += ["--method", f"{tmp_path / 'own.py'}:Waits"]
    environment = {**os.environ, "FAIRMOE_HOME": str(tmp_path / "home")}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell in the background ignores Ctrl-C
    )  # fmt: skip
    while not (tmp_path / "started").exists():  # in the middle of a method, which waits for a file that is not there
        assert process.poll() is None
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "run the same command again" in " ".join(text.split())
    tuned = sorted(tmp_path.glob("run/jobs/*/tune/**/*.safetensors"))
    times = [path.stat().st_mtime_ns for path in tuned]
    assert tuned
    (tmp_path / "go").touch()
    again = subprocess.run(command, env=environment, check=False)
    assert again.returncode == 0
    assert [path.stat().st_mtime_ns for path in tuned if "batches" in path.parts] == [
        time for path, time in zip(tuned, times, strict=True) if "batches" in path.parts
    ]
