"""PostgreSQL behind MLflow, directly and behind a tracking server: what dies in mid-run costs no cell."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

from benchmarks.cells.digests import RECEIPT
from benchmarks.run.runner import run_suite
from benchmarks.tracking.mlflow_store import (
    BATCH,
    WHOLE,
    TrackingError,
    finished_cells,
    open_tracker,
    send_all,
    unsent,
)
from tests.benchmarks.conftest import tiny_suite
from tests.campaign.server import Server
from tests.postgres import PASSWORD, running_server

ROOT = Path(__file__).resolve().parents[3]
CELLS = 12


@pytest.fixture(scope="module")
def postgres():
    yield from running_server()


@pytest.fixture(scope="module")
def few(tmp_path_factory, quiet):
    """A small run that was not sent, repeated under other keys until it has some cells."""
    output = tmp_path_factory.mktemp("few") / "run"
    with pytest.MonkeyPatch.context() as patch, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: who sends is refused at once
        patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        run_suite(tiny_suite(methods=("utility", "constant")), output, workers=1, strict=True, console=quiet)
    made = list(finished_cells(output))
    for number in range(CELLS - len(made)):
        cell = made[number % len(made)]
        place = cell.with_name(f"{number:04d}{cell.name[4:]}")
        shutil.copytree(cell, place)
        facts = json.loads((cell / "cell.json").read_text())
        facts["key"], facts["head"]["split"] = place.name, 1 + number
        (place / "cell.json").write_text(json.dumps(facts))
    return output


@pytest.fixture
def run_folder(few, tmp_path):
    return shutil.copytree(few, tmp_path / "run")


@pytest.fixture
def database(postgres, monkeypatch, request):
    """Address of an empty database, which is this test's store."""
    address = postgres.database(f"mlflow-{abs(hash(request.node.name))}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return address


def check_each_cell_has_one_whole_run(output):
    tracker = open_tracker()
    runs = tracker.client.search_runs([tracker.experiment])
    keys = sorted(run.data.tags["fairmoe.cell"] for run in runs)
    assert keys == sorted(folder.name for folder in finished_cells(output))
    assert all(run.info.status == "FINISHED" and WHOLE in run.data.tags for run in runs)
    assert unsent(finished_cells(output)) == []
    return runs


def sync(output, **more):
    command = [sys.executable, "-c", "from benchmarks.cli import main; main()", "track", "sync", str(output)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more
    )


def receipts(output):
    return list(output.glob(f"jobs/*/cells/*/{RECEIPT}"))


@pytest.mark.slow
def test_cells_go_into_a_database_and_no_file_knows_its_password(run_folder, database, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    send_all(open_tracker(), finished_cells(run_folder))
    runs = check_each_cell_has_one_whole_run(run_folder)
    assert not (tmp_path / "mlruns").exists()  # MLflow's default for databases follows the working folder
    tuned = next(run for run in runs if run.data.tags["method"] == "utility")
    table = mlflow.artifacts.load_text(f"{tuned.info.artifact_uri}/trials.json")
    assert "number" in json.loads(table)["columns"]
    assert not [path for path in receipts(run_folder) if PASSWORD in path.read_text()]
    assert json.loads(receipts(run_folder)[0].read_text())["uri"] == database.replace(PASSWORD, "***")


@pytest.mark.slow
def test_a_database_that_dies_in_mid_run_gets_the_rest_later(run_folder, database, postgres):
    sent = []

    def count():
        sent.append(1)
        if len(sent) == 5:
            postgres.kill()

    with pytest.raises(TrackingError, match=f"{CELLS - 5} cells are not sent") as caught:
        send_all(open_tracker(), finished_cells(run_folder), count)
    assert PASSWORD not in str(caught.value)
    with pytest.raises(TrackingError, match="does not answer") as caught:
        open_tracker()
    assert PASSWORD not in str(caught.value)
    postgres.start()
    assert len(unsent(finished_cells(run_folder))) == CELLS - 5
    send_all(open_tracker(), unsent(finished_cells(run_folder)))
    check_each_cell_has_one_whole_run(run_folder)


@pytest.mark.slow
def test_a_sync_that_is_killed_goes_on_without_duplicates(run_folder, database):
    first = sync(run_folder)
    while len(receipts(run_folder)) < 4 and first.poll() is None:
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    known = {path: path.read_bytes() for path in receipts(run_folder)}
    assert 4 <= len(known) < CELLS
    second = sync(run_folder)
    said, _ = second.communicate()
    assert second.returncode == 0, said
    assert f"{CELLS} cells are in {database.replace(PASSWORD, '***')}" in " ".join(said.split())
    assert {path: path.read_bytes() for path in known} == known
    check_each_cell_has_one_whole_run(run_folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda address: address.replace(PASSWORD, "wrong-word-7"), "password authentication failed"),
        (lambda address: address + "x", "does not exist"),
        (lambda address: address.replace("@127.0.0.1:", "@127.0.0.1:1"), "(refused|failed|not answer)"),
    ],
)
def test_a_database_that_refuses_is_told_at_once_and_without_the_password(database, monkeypatch, change, words):
    address = change(database)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(TrackingError, match=words) as caught:
        open_tracker()
    assert "wrong-word-7" not in str(caught.value) and PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("metrics", "params", "requests"), [(0, 0, 1), (BATCH - 101, 100, 1), (BATCH - 100, 100, 2), (2500, 250, 3)]
)
def test_numbers_are_sent_in_the_fewest_requests_that_mlflow_takes(monkeypatch, metrics, params, requests):
    from mlflow.entities import Metric

    tracker, calls = open_tracker(), []
    run_id = tracker.client.create_run(tracker.experiment).info.run_id
    real = tracker.client.log_batch
    monkeypatch.setattr(tracker.client, "log_batch", lambda *given: (calls.append(given), real(*given)))
    numbers = [Metric(f"m/{k}", float(k), 1, 0) for k in range(metrics)]
    tracker.log_numbers(run_id, numbers, {f"p{k}": k for k in range(params)}, whole=True)
    assert len(calls) == requests
    found = tracker.client.get_run(run_id).data
    assert (len(found.metrics), len(found.params)) == (metrics, params)
    assert WHOLE in found.tags


@pytest.fixture
def server(database, tmp_path, monkeypatch, request):
    """A tracking server on the database, whose artefacts it keeps itself."""
    found = Server(tmp_path / "server", store=database, artifacts=getattr(request, "param", None))
    found.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", found.uri)
    yield found
    found.kill()


@pytest.mark.slow
def test_a_tracking_server_whose_database_dies_gets_the_rest_later(run_folder, server, postgres):
    sent = []

    def count():
        sent.append(1)
        if len(sent) == 5:
            postgres.kill()

    with pytest.raises(TrackingError, match=f"{CELLS - 5} cells are not sent"):
        send_all(open_tracker(), finished_cells(run_folder), count)
    postgres.start()
    send_all(open_tracker(), unsent(finished_cells(run_folder)))
    runs = check_each_cell_has_one_whole_run(run_folder)
    tuned = next(run for run in runs if run.data.tags["method"] == "utility")
    assert tuned.info.artifact_uri.startswith("mlflow-artifacts:")
    assert "columns" in mlflow.artifacts.load_text(f"{tuned.info.artifact_uri}/trials.json")
