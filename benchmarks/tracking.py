"""MLflow as a sink: one flat run per cell, sent after the cell is safely on disk.

Training code never calls this module. The harness hands over finished cells; a server that is down costs nothing but
a warning, and :func:`send_missing` sends later what was not sent.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cell import Cell
from benchmarks.environment import code_version, environment_hash
from tasks.files import write_json

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "fairmoe"
RECEIPT = "mlflow.json"
QUICK_FAILURE = {  # MLflow's own defaults keep a command waiting for minutes when a server is down
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
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
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home() / 'mlflow.db'}"


@dataclass(frozen=True)
class Tracker:
    """An open store and the experiment that cells go to."""

    uri: str
    client: MlflowClient
    experiment: str

    def send(self, folder: Path) -> str:
        """Send one finished cell's folder, once; return its run id and leave a receipt beside the cell."""
        receipt = folder / RECEIPT
        if receipt.exists():
            known = json.loads(receipt.read_text(encoding="utf-8"))
            if known["uri"] == self.uri:
                return str(known["run_id"])
        cell = Cell.load(folder)
        run_id = self._find(cell.key) or self._create(cell, folder)
        write_json(receipt, {"uri": self.uri, "experiment": self.experiment, "run_id": run_id})
        return run_id

    def _find(self, key: str) -> str | None:
        query = f"tags.`fairmoe.cell` = '{key}' and attributes.status = 'FINISHED'"
        runs = self.client.search_runs([self.experiment], query, max_results=1)
        return str(runs[0].info.run_id) if runs else None

    def _create(self, cell: Cell, folder: Path) -> str:
        from mlflow.entities import Param, RunStatus

        name = f"{cell.head['task']} {cell.head['method']} split {cell.head['split']} seed {cell.head['seed']}"
        run = self.client.create_run(self.experiment, tags=_tags(cell), run_name=name)
        run_id = str(run.info.run_id)
        params = [Param(k, str(v)[:6000]) for k, v in sorted(cell.params.items())]
        metrics = list(_metrics(cell))
        for start in range(0, max(len(metrics), 1), 1000):
            self.client.log_batch(run_id, metrics[start : start + 1000], params if start == 0 else [])
        self._log_inputs(run_id, cell)
        self._log_artifacts(run_id, folder)
        self.client.set_terminated(run_id, RunStatus.to_string(RunStatus.FINISHED))
        return run_id

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
            from benchmarks.model import log_model

            log_model(run_id, model)


def open_tracker() -> Tracker:
    """Connect to the store, create it if it is the embedded one, and find or create the experiment.

    Raises
    ------
    TrackingError
        If the store does not answer; the text says which, and how to send the results later.
    """
    for name, value in QUICK_FAILURE.items():
        os.environ.setdefault(name, value)
    uri = tracking_uri()
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    import mlflow
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
            f"The tracking store {uri} does not answer ({str(error).splitlines()[0]}). Results stay in the output "
            "folder; start the server (or unset MLFLOW_TRACKING_URI) and send them with 'fairmoe track sync FOLDER'."
        ) from error
    mlflow.set_tracking_uri(uri)
    return Tracker(uri, client, str(experiment))


def _create_experiment(client: MlflowClient, uri: str) -> str:
    # The embedded store's default artifact folder follows the working directory: pin it. A server has its own.
    location = (home() / "artifacts").as_uri() if uri.startswith("sqlite:///") else None
    tags = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(EXPERIMENT, artifact_location=location, tags=tags))


def finished_cells(output: Path) -> Iterator[Path]:
    """Folders of the finished cells of an output folder, in a stable order."""
    return iter(sorted(path.parent for path in output.glob("jobs/*/cells/*/cell.json")))


def send_all(tracker: Tracker, folders: Iterable[Path]) -> list[Path]:
    """Send cells until one fails; return what is left unsent.

    A store that breaks half-way is not hammered with the rest: one failure ends the sending.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    left = list(folders)
    try:
        while left:
            tracker.send(left[0])
            left.pop(0)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise TrackingError(
            f"The tracking store {tracker.uri} failed ({str(error).splitlines()[0]}); {len(left)} cells are not sent. "
            "They are safe in the output folder: send them with 'fairmoe track sync FOLDER'."
        ) from error
    return left


def unsent(folders: Iterable[Path]) -> list[Path]:
    """Those without a receipt of the present store."""
    uri = tracking_uri()

    def sent(folder: Path) -> bool:
        receipt = folder / RECEIPT
        return receipt.exists() and json.loads(receipt.read_text(encoding="utf-8"))["uri"] == uri

    return [folder for folder in folders if not sent(folder)]


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


def _tags(cell: Cell) -> dict[str, str]:
    names = (
        "suite",
        "task",
        "method",
        "role",
        "family",
        "protocol",
        "split",
        "seed",
        "use_sensitive",
        "split_hash",
        "task_hash",
    )
    tags = {name: str(cell.head[name]) for name in names}
    return {
        **tags,
        "fairmoe.kind": "cell",
        "fairmoe.cell": cell.key,
        "fairmoe.code": code_version(),
        "fairmoe.environment": environment_hash(),
    }


def _metrics(cell: Cell) -> Iterator[Any]:
    """Metric entities; '@' is not allowed in MLflow names, so ``dp@1`` of the test part is ``test/dp.v1``."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    for row in cell.results:
        name = str(row["metric"]).replace("@", ".v")
        part = "val" if row["part"] == "validation" else row["part"]
        for section, field in (
            (part, "estimate"),
            (f"{part}_low", "low"),
            (f"{part}_high", "high"),
            (f"{part}_null", "null_p95"),
        ):
            if math.isfinite(row[field]):
                yield Metric(f"{section}/{name}", row[field], now, 0)
    for name, points in cell.stages.items():
        for step, value in points:
            if value is not None and math.isfinite(value):
                yield Metric(name, value, now, int(step))
    for name, value in cell.cost.items():
        if isinstance(value, (int, float)):
            yield Metric(f"cost/{name}", float(value), now, 0)
