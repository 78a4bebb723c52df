"""Tracking: one flat run per cell, sent once; a store that is down loses nothing."""

from __future__ import annotations

import socket
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from rich.console import Console

from benchmarks.runner import RunSummary, run_suite
from benchmarks.tracking import TrackingError, finished_cells, open_tracker, send_all
from tasks.load import load_task
from tests.benchmarks.conftest import tiny_suite

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
    for receipt in sent[0].glob("jobs/*/cells/*/mlflow.json"):
        receipt.unlink()  # as if the process had died between the run and its receipt
    send_all(open_tracker(), finished_cells(sent[0]))
    assert len(runs(sent[1])) == len(list(finished_cells(sent[0])))


def test_the_logged_mixture_predicts_from_raw_columns(sent: tuple[Path, str]) -> None:
    table = runs(sent[1])
    run = table[table["tags.method"] == "mixture"].iloc[0]
    models = mlflow.search_logged_models(experiment_ids=[sent[1]], output_format="list")
    (model,) = [m for m in models if m.source_run_id == run["run_id"]]
    loaded = mlflow.pyfunc.load_model(model.model_uri)
    task = load_task("scm")
    rows = task.split.test[:50]
    predicted = loaded.predict(task.frame.iloc[rows.numpy()])
    provenance = pd.read_csv(sent[0] / "provenance.csv").query("method == 'mixture'")
    stored = pd.read_parquet(sent[0] / "predictions" / f"{provenance['cell'].item()}.parquet").query("part == 'test'")
    expected = stored.set_index("row").loc[task.rows[rows].numpy(), "probability"].to_numpy()
    assert predicted["probability"].to_numpy() == pytest.approx(expected, abs=1e-5)


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
