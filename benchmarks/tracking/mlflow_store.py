"""MLflow as a sink: one flat run per cell, sent after the cell is safely on disk.

Training code never calls this module. The harness hands over finished cells; a server that is down costs nothing but
a warning, and :func:`send_all` later sends what was not sent.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cells.cell import Cell
from benchmarks.cells.reading import read_cell
from benchmarks.plan.environment import code_version, environment_hash
from foundation.files import write_json

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

EXPERIMENT = "fairmoe"
RECEIPT = "mlflow.json"
WHOLE = "fairmoe.whole"  # tag of a run that has all its numbers
SQLITE = "sqlite:///"
BATCH = 800  # metrics of one request; a server takes 1000 numbers, params and tags together
BATCH_PARAMS = 100
PARAM_LENGTH = 6000
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the defaults keep a command waiting for minutes when a server is down
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
}


class TrackingError(RuntimeError):
    """The tracking store cannot be reached or written."""


def home() -> Path:
    """The one folder of the embedded store; ``FAIRMOE_HOME`` moves it."""
    if "FAIRMOE_HOME" in os.environ:
        return Path(os.environ["FAIRMOE_HOME"]).expanduser().resolve()
    from platformdirs import user_data_path

    return user_data_path("fairmoe")


def tracking_uri() -> str:
    """``MLFLOW_TRACKING_URI`` if set, else the embedded SQLite store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{home() / 'mlflow.db'}"


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's remarks to itself: type hints it cannot read, tables it creates, models without an example."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


class Tracker:
    """An open store and the experiment that cells go to."""

    def __init__(self, uri: str, client: MlflowClient, experiment: str) -> None:
        self.uri, self.client, self.experiment = uri, client, experiment

    def send(self, folder: Path) -> str:
        """Send one finished cell's folder, once; return its run id and leave a receipt beside the cell."""
        known = receipt_of(folder, self.uri)
        if known:
            return known
        with quiet():
            cell = read_cell(folder)
            run_id = self._finished_runs.get(cell.key) or self._create(cell, folder)
        write_json(folder / RECEIPT, {"uri": self.uri, "experiment": self.experiment, "run_id": run_id})
        return run_id

    @cached_property
    def _finished_runs(self) -> dict[str, str]:
        """Cell key → run id of everything in the store, asked for once.

        A run that a broken sending left half-way is deleted: its cell is sent again as a whole.
        """
        runs: dict[str, str] = {}
        token: str | None = ""
        while token is not None:
            page = self.client.search_runs(
                [self.experiment], "tags.`fairmoe.kind` = 'cell'", max_results=1000, page_token=token or None
            )
            for run in page:
                if run.info.status == "FINISHED" and WHOLE in run.data.tags:
                    runs[run.data.tags["fairmoe.cell"]] = str(run.info.run_id)
                else:
                    self.client.delete_run(run.info.run_id)
            token = page.token or None
        return runs

    def _create(self, cell: Cell, folder: Path) -> str:
        name = f"{cell.head['method']} {cell.head['task']} split {cell.head['split']} seed {cell.head['seed']}"
        run_id = str(self.client.create_run(self.experiment, tags=_tags(cell), run_name=name).info.run_id)
        self._log_artifacts(run_id, folder)  # before the metrics: MLflow copies a run's metrics to its model one by one
        self._log_inputs(run_id, cell)
        self._log_numbers(run_id, cell)
        self.client.set_terminated(run_id, "FINISHED")
        return run_id

    def _log_numbers(self, run_id: str, cell: Cell) -> None:
        from mlflow.entities import Param, RunTag

        params = [Param(key, str(value)[:PARAM_LENGTH]) for key, value in sorted(cell.params.items())]
        metrics = list(_metrics(cell))
        while len(metrics) > BATCH or len(params) > BATCH_PARAMS:
            self.client.log_batch(run_id, metrics[:BATCH], params[:BATCH_PARAMS])
            metrics, params = metrics[BATCH:], params[BATCH_PARAMS:]
        self.client.log_batch(run_id, metrics, params, [RunTag(WHOLE, "yes")])

    def _log_inputs(self, run_id: str, cell: Cell) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=str(cell.head["task"]), digest=str(cell.head["task_hash"])[:36], source_type="fairmoe card",
            source=json.dumps({"card": cell.head["task"], "split_hash": cell.head["split_hash"]}),
        )  # fmt: skip
        self.client.log_inputs(run_id, datasets=[DatasetInput(dataset, [InputTag("mlflow.data.context", "benchmark")])])

    def _log_artifacts(self, run_id: str, folder: Path) -> None:
        trials = folder / "trials.json"
        if trials.exists():
            self.client.log_table(run_id, json.loads(trials.read_text(encoding="utf-8")), "trials.json")
        model = folder / "model"
        if model.exists():
            from benchmarks.tracking.servable import log_model

            log_model(run_id, model)


def open_tracker() -> Tracker:
    """Connect to the store, create it if it is the embedded one, and find or create the experiment.

    Raises
    ------
    TrackingError
        If the store does not answer; the text says which, and how to send the results later.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    uri = tracking_uri()
    if uri.startswith(SQLITE):
        Path(uri.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    with quiet():
        import mlflow
        import mlflow.pyfunc
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        client = mlflow.MlflowClient(uri)
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is not None and found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        experiment = found.experiment_id if found else _create_experiment(client, uri)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise TrackingError(
            f"The tracking store {uri} does not answer ({_reason(error)}). Results stay in the output "
            "folder; start the server (or unset MLFLOW_TRACKING_URI) and send them with 'fairmoe track sync FOLDER'."
        ) from error
    mlflow.set_tracking_uri(uri)
    return Tracker(uri, client, str(experiment))


def _create_experiment(client: MlflowClient, uri: str) -> str:
    # The embedded store's default artifact folder follows the working directory: pin it. A server has its own.
    location = (home() / "artifacts").as_uri() if uri.startswith(SQLITE) else None
    tags = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(EXPERIMENT, artifact_location=location, tags=tags))


def _reason(error: Exception) -> str:
    """The innermost cause in one line: the outer ones repeat addresses and retries."""
    text = str(error).splitlines()[0]
    return text.rsplit(": ", 1)[-1].strip("()'\" ") if "Max retries exceeded" in text else text


def finished_cells(output: Path) -> Iterator[Path]:
    """Folders of the finished cells of an output folder, in a stable order."""
    return iter(sorted(path.parent for path in output.glob("jobs/*/cells/*/cell.json")))


def send_all(tracker: Tracker, folders: Iterable[Path], sent: Callable[[], object] = lambda: None) -> None:
    """Send cells until one fails, the last first: MLflow lists the newest run first and draws only the first ten.

    Parameters
    ----------
    sent : callable
        Called after every cell.

    Raises
    ------
    TrackingError
        If the store breaks half-way: it is not hammered with the rest. What was sent has its receipt.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    left = list(folders)
    try:
        while left:
            tracker.send(left[-1])
            left.pop()
            sent()
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise TrackingError(
            f"The tracking store {tracker.uri} failed ({_reason(error)}); {len(left)} cells are not sent. They "
            "are safe in the output folder: send them with 'fairmoe track sync FOLDER'."
        ) from error


def receipt_of(folder: Path, uri: str) -> str:
    """Run id of a cell in the store at ``uri``; empty if it was not sent there."""
    receipt = folder / RECEIPT
    known = json.loads(receipt.read_text(encoding="utf-8")) if receipt.exists() else {}
    return str(known["run_id"]) if known.get("uri") == uri else ""


def unsent(folders: Iterable[Path]) -> list[Path]:
    """Those without a receipt of the present store."""
    uri = tracking_uri()
    return [folder for folder in folders if not receipt_of(folder, uri)]


def run_ids(output: Path) -> dict[str, str]:
    """Cell key → MLflow run id, for the cells that have been sent."""
    ids = {}
    for folder in finished_cells(output):
        receipt = folder / RECEIPT
        if receipt.exists():
            ids[folder.name] = str(json.loads(receipt.read_text(encoding="utf-8"))["run_id"])
    return ids


def comparison_url(base: str, experiment: str) -> str:
    """Address of the comparison charts (MLflow's own landing page is another one)."""
    return f"{base}/#/experiments/{experiment}/runs?workflowType=machine_learning&compareRunsMode=CHART"


TAGS = (
    "suite", "task", "method", "role", "family", "protocol", "split", "seed", "use_sensitive", "split_hash",
    "task_hash",
)  # fmt: skip


def _tags(cell: Cell) -> dict[str, str]:
    return {
        **{name: str(cell.head[name]) for name in TAGS},
        "fairmoe.kind": "cell",
        "fairmoe.cell": cell.key,
        "fairmoe.code": code_version(),
        "fairmoe.environment": environment_hash(),
    }


def _metrics(cell: Cell) -> Iterator[Metric]:
    """Every finite number of a cell; what is not estimable, nan or infinite is never sent."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    for name, step, value in (*_scores(cell), *_curves(cell)):
        if value is not None and math.isfinite(value):
            yield Metric(name, float(value), now, step)


SECTIONS = {"gate": "train_gate", "finetune": "train_joint", "search": "train_search", "cost": "usage"}
"""Names of chart sections; MLflow sorts them, and the scores of test rows are to come first."""


def _scores(cell: Cell) -> Iterator[tuple[str, int, float | None]]:
    """``dp@1`` of the test part is ``test/dp.v1``: MLflow's names have no '@'."""
    for row in cell.results:
        name = str(row["metric"]).replace("@", ".v")
        part = "val" if row["part"] == "validation" else row["part"]
        yield f"{part}/{name}", 0, row["estimate"]
        if part == "val":
            continue  # intervals and nulls of validation rows are in the results table
        yield f"{part}_low/{name}", 0, row["low"]
        yield f"{part}_high/{name}", 0, row["high"]
        yield f"{part}_null/{name}", 0, row["null_p95"]


def _curves(cell: Cell) -> Iterator[tuple[str, int, float | None]]:
    for name, points in cell.stages.items():
        section, _, metric = name.partition("/")
        for step, value in points:
            yield f"{SECTIONS.get(section, section)}/{metric}", int(step), value
    for name, value in cell.cost.items():
        if isinstance(value, (int, float)):
            yield f"{SECTIONS['cost']}/{name}", 0, value
