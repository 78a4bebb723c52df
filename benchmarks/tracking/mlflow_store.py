"""MLflow as a sink: one flat run per cell, sent after the cell is safely on disk, while other jobs run.

Training code never calls this module. The harness hands over finished cells; a server that is down costs nothing but
a warning, and :func:`send_all` later sends what was not sent.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from benchmarks.cells.cell import Cell
from benchmarks.cells.digests import RECEIPT
from benchmarks.cells.reading import read_cell
from benchmarks.plan.environment import code_version, environment_hash
from benchmarks.tracking.database import on_server, try_server
from foundation.addresses import shown, without_secrets
from foundation.files import write_json, write_text
from foundation.folder_lock import turn
from foundation.home import home

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

EXPERIMENT = "fairmoe"
WHOLE = "fairmoe.whole"  # tag of a run that has all its numbers
SQLITE = "sqlite:///"
SQLITE_DRIVER = "sqlite+pysqlite:///"
BATCH = 1000  # metrics, params and tags of one request together, and so many params: more is refused
BATCH_PARAMS = 100
PARAM_LENGTH = 6000
PLAIN = "".join(chr(code) for code in range(32, 127) if chr(code) not in "%?#")
"""What stands for itself in the path of an address; the rest would be decoded, or end it."""

OUTPUT = "fairmoe.output"  # tag: which output folder a run comes from
OUTPUT_LEVEL = 3  # parents of a cell's folder: output/jobs/job/cells/cell
OUTPUT_ID = ".id"  # file of an output folder; its name would not do: folders move, and servers have many clients
TABLE = {"mlflow.loggedArtifacts": json.dumps([{"path": "trials.json", "type": "table"}])}
"""Tag of a run with a table of trials, by which MLflow's pages find it."""
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the defaults keep a command waiting for minutes when a server is down
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
}


SEND_LATER = (
    "Results stay in the output folder; start the server (or unset MLFLOW_TRACKING_URI, or give another FAIRMOE_HOME) "
    "and send them with 'fairmoe track sync FOLDER'."
)
"""What to do about a store that does not answer while cells are sent."""


class TrackingError(RuntimeError):
    """The tracking store cannot be reached or written."""


def tracking_uri() -> str:
    """``MLFLOW_TRACKING_URI`` if set, else the embedded SQLite store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _sqlite_uri(home() / "mlflow.db")


def _sqlite_uri(database: Path) -> str:
    """Address of a file; one with characters that mean something in addresses names its driver.

    Without the driver's name MLflow would also make a folder of the undecoded name.
    """
    path = str(database)
    quoted = quote(path, safe=PLAIN)
    return f"{SQLITE if quoted == path else SQLITE_DRIVER}{quoted}"


def database_of(uri: str) -> Path | None:
    """File of an SQLite store; None for a server."""
    for prefix in (SQLITE, SQLITE_DRIVER):
        if uri.startswith(prefix):
            return Path(unquote(uri.removeprefix(prefix).partition("?")[0]))
    return None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's remarks to itself: type hints it cannot read, tables it creates, models without an example."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


@dataclass(frozen=True)
class StoreRuns:
    """Runs of a store.

    Attributes
    ----------
    finished : dict
        Cell key → run id.
    half : dict
        (Cell key, output folder's id) → run ids of sendings that have not ended, or never will.
    """

    finished: dict[str, str]
    half: dict[tuple[str, str], list[str]]


def output_id(output: Path) -> str:
    """The lasting id of an output folder, made when it is first asked for; a folder that is moved keeps it."""
    path = output / OUTPUT_ID
    if not path.exists():
        write_text(path, uuid.uuid4().hex + "\n")
    return path.read_text(encoding="utf-8").strip()


class Tracker:
    """An open store and the experiment that cells go to."""

    def __init__(self, uri: str, client: MlflowClient, experiment: str) -> None:
        self.uri, self.client, self.experiment = uri, client, experiment

    @property
    def name(self) -> str:
        """The address as people and files may see it: without a password."""
        return shown(self.uri)

    def complaint(self, error: Exception) -> str:
        """Which store failed and what it says of it, on one line and without a password."""
        return f"{self.name} failed ({without_secrets(reason_of(error), self.uri)})"

    def send(self, folder: Path) -> str:
        """Send one finished cell's folder, once; return its run id and leave a receipt beside the cell."""
        known = receipt_of(folder, self.uri)
        if known:
            return known
        with quiet():
            cell = read_cell(folder)
            with self.alone():
                run_id = self._runs.finished.get(cell.key) or self._send_whole(cell, folder)
        self.leave_receipt(folder, run_id)
        return run_id

    def leave_receipt(self, folder: Path, run_id: str, **of: str) -> None:
        """Say in a folder where it was sent, and what of it (:func:`receipt_of`)."""
        write_json(folder / RECEIPT, {"uri": self.name, "experiment": self.experiment, "run_id": run_id, **of})

    def alone(self) -> AbstractContextManager[None]:
        """One writer at a time where the store is a file; a server orders its clients itself."""
        database = database_of(self.uri)
        return nullcontext() if database is None else turn(_lock_of(database))

    def _send_whole(self, cell: Cell, folder: Path) -> str:
        """A new run; one of the same output folder that a broken sending left half-way is deleted.

        Those of other folders are left alone: somebody may be sending them right now.
        """
        output = output_id(folder.parents[OUTPUT_LEVEL])
        for run_id in self._runs.half.pop((cell.key, output), []):
            self._forget(run_id)
        return self._create(cell, folder, output)

    def _forget(self, run_id: str) -> None:
        """Delete a half-sent run, and first its models, which the store would list without their run."""
        for model in self.client.search_logged_models([self.experiment], f"source_run_id = '{run_id}'"):
            self.client.delete_logged_model(model.model_id)
        self.client.delete_run(run_id)

    @cached_property
    def _runs(self) -> StoreRuns:
        """What the store has, asked for once."""
        runs = StoreRuns({}, {})
        token: str | None = ""
        while token is not None:
            page = self.client.search_runs(
                [self.experiment], "tags.`fairmoe.kind` = 'cell'", max_results=1000, page_token=token or None
            )
            for run in page:
                tags, run_id = run.data.tags, str(run.info.run_id)
                if run.info.status == "FINISHED" and WHOLE in tags:
                    runs.finished[tags["fairmoe.cell"]] = run_id
                else:
                    runs.half.setdefault((tags["fairmoe.cell"], tags.get(OUTPUT, "")), []).append(run_id)
            token = page.token or None
        return runs

    def _create(self, cell: Cell, folder: Path, output: str) -> str:
        name = f"{cell.head['method']} {cell.head['task']} split {cell.head['split']} seed {cell.head['seed']}"
        trials = folder / "trials.json"
        tags = {**_tags(cell), OUTPUT: output, **(TABLE if trials.exists() else {})}
        run = self.client.create_run(self.experiment, tags=tags, run_name=name).info
        run_id = str(run.run_id)
        if trials.exists():
            self._log_table(str(run.artifact_uri), trials)
        self._log_model(run_id, folder)  # before the metrics: MLflow copies a run's metrics to its model one by one
        self._log_inputs(run_id, cell)
        self.log_numbers(run_id, list(_metrics(cell)), cell.params, whole=True)
        self.client.set_terminated(run_id, "FINISHED")
        return run_id

    def log_numbers(
        self, run_id: str, metrics: Sequence[Metric], params: Mapping[str, Any], *, whole: bool = False
    ) -> None:
        """Metrics and params of a run in requests that a server takes; ``whole``: then it has all its numbers."""
        from mlflow.entities import Param, RunTag

        left = [Param(key, str(value)[:PARAM_LENGTH]) for key, value in sorted(params.items())]
        last = [RunTag(WHOLE, "yes")] if whole else []
        while True:
            some, left = left[:BATCH_PARAMS], left[BATCH_PARAMS:]
            room = BATCH - len(some) - len(last)
            now, metrics = metrics[:room], metrics[room:]
            if not left and not metrics:
                self.client.log_batch(run_id, now, some, last)
                return
            self.client.log_batch(run_id, now, some)

    @staticmethod
    def _log_table(place: str, trials: Path) -> None:
        """Trials among a run's artefacts; the client's own way would ask the store again where these are."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with TemporaryDirectory() as folder:
            table = Path(folder) / trials.name
            table.write_text(_table(json.loads(trials.read_text(encoding="utf-8"))), encoding="utf-8")
            get_artifact_repository(place).log_artifact(str(table))  # type: ignore[no-untyped-call]

    def _log_inputs(self, run_id: str, cell: Cell) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=str(cell.head["task"]), digest=str(cell.head["task_hash"])[:36], source_type="fairmoe card",
            source=json.dumps({"card": cell.head["task"], "split_hash": cell.head["split_hash"]}),
        )  # fmt: skip
        self.client.log_inputs(run_id, datasets=[DatasetInput(dataset, [InputTag("mlflow.data.context", "benchmark")])])

    @staticmethod
    def _log_model(run_id: str, folder: Path) -> None:
        model = folder / "model"
        if model.exists():
            from benchmarks.tracking.servable import log_model

            log_model(run_id, model)


def open_tracker(advice: str = SEND_LATER, experiment: str = EXPERIMENT) -> Tracker:
    """Connect to the store, create it if it is the embedded one, and find or create the experiment.

    Parameters
    ----------
    advice : str
        What the error says to do.
    experiment : str
        Its name.

    Raises
    ------
    TrackingError
        If the store does not answer; the text says which, and what to do.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    uri = tracking_uri()
    try:
        return _open(uri, experiment)
    except Exception as error:  # drivers, migrations, servers and file systems raise what they like
        reason = without_secrets(reason_of(error), uri)
        raise TrackingError(f"The tracking store {shown(uri)} does not answer ({reason}). {advice}") from error


def _open(uri: str, experiment: str) -> Tracker:
    database = database_of(uri)
    if database is None:
        if on_server(uri):
            try_server(uri)
        return _connect(uri, experiment)
    with turn(_lock_of(database)):  # the tables of a new store are made by one process
        _try_database(database)
        return _connect(uri, experiment)


def _connect(uri: str, name: str) -> Tracker:
    with quiet():
        import mlflow
        import mlflow.pyfunc
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        if not event.contains(Engine, "connect", _do_not_wait):
            event.listen(Engine, "connect", _do_not_wait)
        client = mlflow.MlflowClient(uri)
        found = client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        experiment = found.experiment_id if found else _create_experiment(client, uri, name)
        mlflow.set_tracking_uri(uri)
    return Tracker(uri, client, str(experiment))


def _lock_of(database: Path) -> Path:
    return database.with_name(f".{database.name}.lock")


def _try_database(database: Path) -> None:
    """Open the file once: MLflow would try again for minutes before it says that it cannot be opened.

    A run is a dozen transactions. With the write-ahead log none of them waits for the disk, and whoever looks at the
    store meanwhile waits for nobody; a crash costs the last ones at most.
    """
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA schema_version").fetchone()
        connection.execute("PRAGMA journal_mode = WAL").fetchone()  # kept by the file; not every file system has it


def _do_not_wait(connection: object, _record: object) -> None:
    """Called for every new connection of SQLAlchemy."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = NORMAL")


def _create_experiment(client: MlflowClient, uri: str, name: str) -> str:
    from mlflow.exceptions import MlflowException

    # A database's default artifact folder follows the working directory: pin it. A tracking server has its own.
    location = (home() / "artifacts").as_uri() if database_of(uri) or on_server(uri) else None
    tags = {"mlflow.experimentKind": "custom_model_development"}
    try:
        return str(client.create_experiment(name, artifact_location=location, tags=tags))
    except MlflowException:  # another client of the server made it a moment ago
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def reason_of(error: Exception) -> str:
    """The innermost cause in one line: the outer ones repeat addresses and retries."""
    text = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
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
    left = list(folders)
    try:
        while left:
            tracker.send(left[-1])
            left.pop()
            sent()
    except Exception as error:
        raise TrackingError(
            f"The tracking store {tracker.complaint(error)}; {len(left)} cells are not sent. They "
            "are safe in the output folder: send them with 'fairmoe track sync FOLDER'."
        ) from error


def receipt_of(folder: Path, uri: str, **of: str) -> str:
    """Run id in the store at ``uri`` of what lies in a folder; empty if it was not sent there.

    ``of`` is what else the receipt has to say: the hash of what was sent, which may have been made anew since.
    """
    receipt = folder / RECEIPT
    known = json.loads(receipt.read_text(encoding="utf-8")) if receipt.exists() else {}
    return str(known["run_id"]) if {"uri": shown(uri), **of}.items() <= known.items() else ""


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


def _table(columns: Mapping[str, Sequence[object]]) -> str:
    """Columns as the text of an MLflow table: what its ``log_table`` writes, without the detour over a frame."""
    rows = [[None if value != value else value for value in row] for row in zip(*columns.values(), strict=True)]
    return json.dumps({"columns": list(columns), "data": rows})


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
