"""Tracking: one flat run per cell, sent once; a store that is down loses nothing."""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from benchmarks.cells.digests import RECEIPT
from benchmarks.run.runner import RunSummary, run_suite
from benchmarks.tracking.mlflow_store import (
    OUTPUT,
    TrackingError,
    finished_cells,
    open_tracker,
    output_id,
    send_all,
    tracking_uri,
    unsent,
)
from tasks.load import load_task
from tests.benchmarks.conftest import tiny_suite
from tests.campaign.server import Server

ROOT = Path(__file__).resolve().parents[3]
Finished = tuple[Path, RunSummary]


@pytest.fixture
def sent(finished: Finished) -> tuple[Path, str]:
    """Every cell of the tiny run in this test's own store."""
    tracker = open_tracker()
    send_all(tracker, finished_cells(finished[0]))
    return finished[0], tracker.experiment


def runs(experiment: str) -> pd.DataFrame:
    found = mlflow.search_runs([experiment])
    assert isinstance(found, pd.DataFrame)
    return found


def test_one_flat_run_per_cell_with_tags_and_fixed_metric_names(sent: tuple[Path, str]) -> None:
    table = runs(sent[1])
    assert len(table) == len(list(finished_cells(sent[0])))
    assert table["status"].eq("FINISHED").all()
    assert "tags.mlflow.parentRunId" not in table
    for tag in ("suite", "task", "method", "role", "split", "seed"):
        assert table[f"tags.{tag}"].notna().all()
    assert {"metrics.test/dp.v1", "metrics.val/utility.v1", "metrics.test_low/dp.v1"} <= set(table.columns)


def test_sending_again_adds_no_run(sent: tuple[Path, str]) -> None:
    for receipt in sent[0].glob(f"jobs/*/cells/*/{RECEIPT}"):
        receipt.unlink()  # as if the process had died between the run and its receipt
    send_all(open_tracker(), finished_cells(sent[0]))
    assert len(runs(sent[1])) == len(list(finished_cells(sent[0])))


def model_uri(sent: tuple[Path, str]) -> str:
    table = runs(sent[1])
    run = table[table["tags.method"] == "mixture"].iloc[0]
    models = mlflow.search_logged_models(experiment_ids=[sent[1]], output_format="list")
    (model,) = [m for m in models if m.source_run_id == run["run_id"]]
    return str(model.model_uri)


def expected_probabilities(output: Path, rows: np.ndarray) -> np.ndarray:
    cell = pd.read_csv(output / "provenance.csv").query("method == 'mixture'")["cell"].item()
    stored = pd.read_parquet(output / "predictions" / f"{cell}.parquet").query("part == 'test'")
    return stored.set_index("row").loc[rows, "probability"].to_numpy()


ELSEWHERE = """
import json, sys
root = sys.argv[1]
sys.meta_path = [f for f in sys.meta_path if "__editable__" not in repr(f)]  # fairmoe is not installed here
sys.path = [p for p in sys.path if p.rstrip("/") != root and "__editable__" not in p]
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[2])
model = mlflow.pyfunc.load_model(sys.argv[3])
import moe
assert moe.__file__ != f"{root}/moe/__init__.py", moe.__file__
frame = pd.read_csv(sys.argv[4])
print(json.dumps(model.predict(frame)["probability"].tolist()))
frame.iloc[0, :] = None
assert model.predict(frame)["probability"].between(0, 1).all()
try:
    model.predict(frame.iloc[:, 1:])
except Exception as error:
    assert frame.columns[0] in str(error), error
else:
    raise SystemExit("a column that is absent must be an error")
"""


def test_the_logged_mixture_predicts_from_raw_columns_where_fairmoe_is_not_installed(
    sent: tuple[Path, str], tmp_path: Path
) -> None:
    task = load_task("scm")
    rows = task.split.test[:50]
    task.frame.iloc[rows.numpy()].to_csv(tmp_path / "rows.csv", index=False)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(ROOT), tracking_uri(), model_uri(sent), str(tmp_path / "rows.csv")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    predicted = json.loads(done.stdout.splitlines()[-1])
    assert predicted == pytest.approx(expected_probabilities(sent[0], task.rows[rows].numpy()), abs=1e-5)


def test_what_is_not_finite_is_never_sent(sent: tuple[Path, str]) -> None:
    client = mlflow.MlflowClient()
    for run in client.search_runs([sent[1]]):
        assert all(math.isfinite(value) and abs(value) < 1e300 for value in run.data.metrics.values())
        assert "test/ref.v1" in run.data.metrics or run.data.tags["method"] == "constant"


def test_a_run_that_was_sent_half_way_is_replaced(finished: Finished) -> None:
    tracker = open_tracker()
    (folder,) = list(finished_cells(finished[0]))[:1]
    receipt = folder / RECEIPT
    receipt.unlink(missing_ok=True)
    tags = {"fairmoe.kind": "cell", "fairmoe.cell": folder.name, OUTPUT: output_id(finished[0])}
    half = tracker.client.create_run(tracker.experiment, tags=tags).info.run_id
    model = tracker.client.create_logged_model(tracker.experiment, name="mixture", source_run_id=half)
    other = tracker.client.create_logged_model(tracker.experiment, name="mixture")
    whole = tracker.send(folder)
    receipt.unlink()
    assert whole != half
    assert [run.info.run_id for run in tracker.client.search_runs([tracker.experiment])] == [whole]
    models = {found.model_id for found in tracker.client.search_logged_models([tracker.experiment])}
    assert model.model_id not in models and other.model_id in models


def test_runs_that_others_are_sending_are_left_alone(finished: Finished) -> None:
    tracker = open_tracker()
    (folder,) = list(finished_cells(finished[0]))[:1]
    (folder / RECEIPT).unlink(missing_ok=True)
    tags = {"fairmoe.kind": "cell", "fairmoe.cell": folder.name}
    others = [{**tags, OUTPUT: "another folder"}, {**tags, "fairmoe.cell": "another cell"}, tags]
    running = {tracker.client.create_run(tracker.experiment, tags=other).info.run_id for other in others}
    whole = tracker.send(folder)
    (folder / RECEIPT).unlink()
    assert {run.info.run_id for run in tracker.client.search_runs([tracker.experiment])} == {*running, whole}


@pytest.mark.parametrize("name", ["a%20b", "what?x=1", "h#sh ü"])
def test_the_store_lies_in_its_home_whatever_that_is_called(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    home = tmp_path / name
    home.mkdir()
    shutil.copyfile(empty_store, home / "mlflow.db")
    monkeypatch.setenv("FAIRMOE_HOME", str(home))
    tracker = open_tracker()
    run = tracker.client.create_run(tracker.experiment).info.run_id
    tracker.client.log_table(run, {"a": [1]}, "table.json")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(list((home / "artifacts").rglob("table.json"))) == 1
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        assert database.execute("select name from experiments where name = 'fairmoe'").fetchall() == [("fairmoe",)]


def test_a_store_that_cannot_be_is_one_line_and_the_pages_are_written(
    tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "mlflow.db").write_bytes(b"no database " * 500)
    suite = tiny_suite(methods=("constant",), trials=2)
    for home, uri, reason in (
        ("file", "", "exists"),
        ("torn", "", "not a database"),
        ("ok", "postgresql://nobody@127.0.0.1:9/none", "does not answer"),
        ("ok", "nonsense://x", "nonsense"),
    ):
        monkeypatch.setenv("FAIRMOE_HOME", str(tmp_path / home))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        summary = run_suite(suite, tmp_path / "run", workers=1, strict=True, console=quiet)
        assert reason in summary.tracking_error.lower() and "\n" not in summary.tracking_error, summary.tracking_error
        assert "fairmoe track sync" in summary.tracking_error
        assert summary.pages and all(page.exists() for page in summary.pages)


FRESH = """
import sys
from benchmarks.tracking.mlflow_store import open_tracker
print(open_tracker().experiment)
"""


@pytest.mark.slow
def test_three_processes_make_one_store(tmp_path: Path) -> None:
    environment = {**os.environ, "FAIRMOE_HOME": str(tmp_path / "new"), "PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen([sys.executable, "-c", FRESH], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [process.communicate(timeout=300)[0].strip() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(set(said)) == 1


def test_a_server_that_is_down_warns_and_sync_sends_later(
    tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    suite = tiny_suite(methods=("constant",), trials=2)
    summary = run_suite(suite, tmp_path / "run", workers=1, strict=True, console=quiet)
    assert "fairmoe track sync" in summary.tracking_error and str(port) in summary.tracking_error
    assert (tmp_path / "run" / "results.csv").exists()
    with pytest.raises(TrackingError, match="does not answer"):
        open_tracker()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    tracker = open_tracker()
    send_all(tracker, finished_cells(tmp_path / "run"))
    assert len(runs(tracker.experiment)) == 1


@pytest.mark.slow
def test_a_server_that_dies_half_way_gets_the_rest_later(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(tmp_path / "server")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    cells = list(finished_cells(finished[0]))
    sent: list[int] = []

    def die_after_three() -> None:
        sent.append(1)
        if len(sent) == 3:
            server.kill()

    server.start()
    try:
        with pytest.raises(TrackingError, match=f"{len(cells) - 3} cells are not sent"):
            send_all(open_tracker(), cells, die_after_three)
        assert len(unsent(cells)) == len(cells) - 3

        server.start()
        command = [sys.executable, "-m", "benchmarks", "track", "sync", str(finished[0])]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        tracker = open_tracker()
        table = runs(tracker.experiment)
        assert len(table) == len(cells) and table["status"].eq("FINISHED").all()
        loaded = mlflow.pyfunc.load_model(model_uri((finished[0], tracker.experiment)))
        task = load_task("scm")
        rows = task.split.test[:5]
        predicted = loaded.predict(task.frame.iloc[rows.numpy()])["probability"].to_numpy()
        assert predicted == pytest.approx(expected_probabilities(finished[0], task.rows[rows].numpy()), abs=1e-5)
    finally:
        server.kill()
