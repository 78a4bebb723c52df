"""A discovery in MLflow: one run with a child for each expert, sent once; a store that is down loses nothing."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run
from typer.testing import CliRunner

from benchmarks.cells.digests import RECEIPT
from benchmarks.cli import app
from benchmarks.discovering.names import METRICS
from benchmarks.discovering.tracking import EXPERIMENT, TAG, identity_of, send_discovery, sent
from benchmarks.tracking.mlflow_store import WHOLE, tracking_uri
from reports.discovery.page import write_page
from reports.discovery.reading import read_discovery
from tests.benchmarks.discovering.metric_names import ids_of, metrics_of
from tests.reports.discovery.sample import sample, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write(tmp_path / "first", sample())
    write_page(made)
    return made


def runs() -> tuple[mlflow.MlflowClient, list[Run]]:
    """The store and its discoveries, children too."""
    client = mlflow.MlflowClient(tracking_uri())
    found = client.get_experiment_by_name(EXPERIMENT)
    return client, list(client.search_runs([found.experiment_id])) if found is not None else []


def test_a_run_for_the_whole_and_a_child_for_each_expert(folder: Path) -> None:
    assert send_discovery(folder) == "" and sent(folder)
    client, every = runs()
    mine = [run for run in every if run.data.tags[TAG] == identity_of(folder)]
    (whole,) = [run for run in mine if run.data.tags["fairmoe.kind"] == "discovery"]
    values = metrics_of(read_discovery(folder))
    assert {name: whole.data.metrics[name] for name in values} == pytest.approx(values)
    assert whole.info.status == "FINISHED" and whole.info.run_name == "first" and WHOLE in whole.data.tags
    tags = whole.data.tags
    assert (tags["base"], tags["seed"], tags["expert_02"]) == ("nano", "0", "formats") and len(tags["base_hash"]) == 64
    assert whole.data.params["training.floor"] == "0.6" and whole.data.params["items"] == "100"
    history = client.get_metric_history(whole.info.run_id, "training/expert_01/accuracy")
    assert [point.step for point in history] == list(range(0, 225, 25))

    children = {run.info.run_name: run for run in mine if run.data.tags["fairmoe.kind"] == "discovery expert"}
    assert set(children) == {"numbers", "formats", "tables"}
    child = children["formats"]
    assert child.data.tags["mlflow.parentRunId"] == whole.info.run_id
    assert child.data.tags["slot"] == "expert_02" and child.data.tags["domains"] == "json-task, sql, strings, lookup"
    assert child.data.metrics["data/check/difficulty/failed"] == values["data/expert_02/check/difficulty/failed"]
    names = {metric.child() for metric in METRICS.values() if metric.child() and "{" not in metric.child()}
    assert names <= set(child.data.metrics)
    held = {item.path for item in client.list_artifacts(whole.info.run_id)}
    assert {"discovery.json", "discovery.html", "1_capability", "8_gates"} <= held


def test_sending_again_adds_no_run_and_a_discovery_that_went_on_is_another(folder: Path) -> None:
    assert send_discovery(folder) == ""
    before = len(runs()[1])
    assert send_discovery(folder) == "" and len(runs()[1]) == before
    (folder / RECEIPT).unlink()
    assert send_discovery(folder) == "" and len(runs()[1]) == before
    results = sample()
    results["gates"]["passed"] = 3
    write(folder, {"gates": results["gates"]})
    assert not sent(folder) and send_discovery(folder) == "" and len(runs()[1]) == before + 4


def test_what_a_broken_sending_left_is_deleted(folder: Path) -> None:
    assert send_discovery(folder) == ""
    client, every = runs()
    mine = [run for run in every if run.data.tags[TAG] == identity_of(folder)]
    whole = next(run for run in mine if WHOLE in run.data.tags)
    client.delete_tag(whole.info.run_id, WHOLE)
    (folder / RECEIPT).unlink()
    assert send_discovery(folder) == ""
    again = [run for run in runs()[1] if run.data.tags[TAG] == identity_of(folder)]
    assert len(again) == len(mine) and not {r.info.run_id for r in again} & {r.info.run_id for r in mine}


def test_a_store_that_is_down_is_told_and_what_it_lacks_is_sent_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    told = send_discovery(folder)
    assert "does not answer" in told and "fairmoe track discovery" in told and not (folder / RECEIPT).exists()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert send_discovery(folder) == "" and (folder / RECEIPT).exists()


def test_a_part_of_a_run_with_names_of_users_is_sent(tmp_path: Path) -> None:
    report = sample()["capability"]
    report["domains"][0]["name"] = "a/../b <c> ä"
    top = {"settings": {"odd/key é": [1, 2], "plain": None}, "base": {"id": "my <base>"}}
    write(tmp_path / "part", {"capability": report, "top": top})
    assert send_discovery(tmp_path / "part") == ""
    mine = [run for run in runs()[1] if run.data.tags[TAG] == identity_of(tmp_path / "part")]
    assert len(mine) == 1 and all(ids_of(name) for name in mine[0].data.metrics)
    assert "capability/domain/a----b--c---/share" in mine[0].data.metrics


def test_commands_write_the_page_and_send(folder: Path) -> None:
    told = CliRunner().invoke(app, ["report", str(folder)])
    assert told.exit_code == 0 and "discovery.html" in told.output and "track discovery" in told.output
    told = CliRunner().invoke(app, ["track", "discovery", str(folder)])
    assert told.exit_code == 0 and "fairmoe ui" in told.output
    assert json.loads((folder / RECEIPT).read_text())["discovery"] == identity_of(folder)
