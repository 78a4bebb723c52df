"""A tracking server on PostgreSQL with artefacts in S3: they come back whole, also when S3 was away for a while."""

import json
import shutil
import socket
from pathlib import Path

import mlflow
import pytest

from benchmarks.run.runner import run_suite
from benchmarks.tracking import servable
from benchmarks.tracking.mlflow_store import Tracker, TrackingError, finished_cells, open_tracker, send_all, unsent
from tests.benchmarks.conftest import tiny_suite
from tests.benchmarks.tracking.test_database_servers import check_each_cell_has_one_whole_run, sync
from tests.campaign.object_store import ObjectStore
from tests.campaign.server import Server
from tests.postgres import running_server

pytestmark = pytest.mark.slow

SYSTEM = "artifacts/model"
"""Where a logged model has the files of a cell's model."""


@pytest.fixture(scope="module")
def postgres():
    yield from running_server()


@pytest.fixture(scope="module")
def made(tmp_path_factory, quiet):
    """A run that was not sent: a mixture, which is a model to be served, an expert with trials, and one without."""
    output = tmp_path_factory.mktemp("made") / "run"
    with pytest.MonkeyPatch.context() as patch, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: who sends is refused at once
        patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        least = {"steps": 20, "eval_every": 20, "warm_up": 0, "rungs": ()}
        suite = tiny_suite(tasks=("scm@400",), trials=2, budget=least, methods=("mixture", "utility", "constant"))
        run_suite(suite, output, workers=1, strict=True, console=quiet)
    return output


@pytest.fixture
def run_folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


@pytest.fixture
def store(tmp_path):
    pytest.importorskip("moto", reason="moto[server] is not installed")
    pytest.importorskip("boto3", reason="boto3 is not installed")
    with ObjectStore.started(tmp_path / "s3") as found:
        yield found


@pytest.fixture
def server(postgres, store, tmp_path, monkeypatch, request):
    """The server; it alone has the keys of the store."""
    address = postgres.database(f"mlflow-{abs(hash(request.node.name))}")
    found = Server(tmp_path / "server", store=address, artifacts=f"{store.url}/mlflow", settings=store.settings)
    found.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", found.uri)
    yield found
    found.kill()


def check_artefacts_are_those_of_the_folder(output, place):
    """Tables of trials and the files of models, fetched through the server, against what lies in the output folder."""
    runs = {run.data.tags["fairmoe.cell"]: run for run in check_each_cell_has_one_whole_run(output)}
    tables = models = 0
    for cell in finished_cells(output):
        run = runs[cell.name]
        assert run.info.artifact_uri.startswith("mlflow-artifacts:")
        if (cell / "trials.json").exists():
            got = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/trials.json")
            told = json.loads((cell / "trials.json").read_text())
            assert got["columns"] == list(told)
            assert len(got["data"]) == len(next(iter(told.values())))
            tables += 1
        if (cell / "model").is_dir():
            assert files(fetched(run, place)) == files(cell / "model")
            models += 1
    assert tables and models == 1


def fetched(run, place):
    """The one model of a run, downloaded."""
    found = mlflow.search_logged_models(experiment_ids=[run.info.experiment_id], output_format="list")
    (model,) = found  # no half one is left, of this run or of one that was deleted
    assert model.source_run_id == run.info.run_id and model.status == "READY"
    folder = Path(mlflow.artifacts.download_artifacts(model.model_uri, dst_path=str(place)))
    return folder / SYSTEM


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_artefacts_come_back_byte_for_byte(run_folder, server, tmp_path):
    send_all(open_tracker(), finished_cells(run_folder))
    check_artefacts_are_those_of_the_folder(run_folder, tmp_path / "back")


@pytest.mark.parametrize(("owner", "step"), [(Tracker, "_log_table"), (servable, "_packed_code")])
def test_what_a_store_that_was_away_did_not_take_is_sent_later(
    run_folder, server, store, tmp_path, monkeypatch, owner, step
):
    real = getattr(owner, step)

    def close_and_go_on(*given):
        store.close()
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, staticmethod(close_and_go_on) if isinstance(owner, type) else close_and_go_on)
        with pytest.raises(TrackingError, match="are not sent"):
            send_all(open_tracker(), finished_cells(run_folder))
    left = len(unsent(finished_cells(run_folder)))
    assert left
    away = sync(run_folder)
    said, _ = away.communicate()
    assert away.returncode != 0 and "track sync" in said
    assert len(unsent(finished_cells(run_folder))) == left
    store.open()
    again = sync(run_folder)
    said, _ = again.communicate()
    assert again.returncode == 0, said
    check_artefacts_are_those_of_the_folder(run_folder, tmp_path / "back")
