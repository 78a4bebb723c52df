"""Sending while jobs run: soon, once, and never at the cost of a result."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.cells.digests import RECEIPT
from benchmarks.plan.job import Job
from benchmarks.run import runner
from benchmarks.run.executors.executor import Outcome
from benchmarks.run.executors.in_process import InProcess
from benchmarks.run.runner import run_suite
from benchmarks.run.telling.notify import Notify
from benchmarks.tracking.mlflow_store import (
    Tracker,
    TrackingError,
    finished_cells,
    open_tracker,
    send_all,
    unsent,
)
from benchmarks.tracking.sender import Sender, sending
from tests.benchmarks.conftest import tiny_suite

SUITE = tiny_suite(methods=("constant",), trials=2, splits=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, quiet: Console, empty_store: Path) -> Path:
    """A finished run of two cells."""
    patch = pytest.MonkeyPatch()
    home, output = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("run") / "out"
    shutil.copyfile(empty_store, home / "mlflow.db")
    patch.setenv("FAIRMOE_HOME", str(home))
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with patch.context():
        assert run_suite(SUITE, output, workers=1, strict=True, console=quiet).ok
    patch.undo()
    return output


@pytest.fixture
def cells(run: Path, tmp_path: Path) -> list[Path]:
    """Its cells, not sent anywhere."""
    copy = shutil.copytree(run, tmp_path / "out", ignore=shutil.ignore_patterns(RECEIPT))
    return list(finished_cells(copy))


def names() -> list[str]:
    """Cells of the runs of the present store."""
    tracker = open_tracker()
    return [run.data.tags["fairmoe.cell"] for run in tracker.client.search_runs([tracker.experiment])]


class Broken:
    """A store that cannot be opened; counts who tries."""

    def __init__(self) -> None:
        self.tried = 0

    def __call__(self) -> Tracker:
        self.tried += 1
        raise TrackingError("down")


@pytest.mark.parametrize("aside", [True, False])
def test_all_that_was_handed_over_is_sent_when_the_body_ends(cells: list[Path], aside: bool) -> None:
    with sending(aside) as send:
        for cell in cells:
            send([cell])
    assert not unsent(cells)
    assert sorted(names()) == sorted(cell.name for cell in cells)


def test_a_cell_is_sent_while_the_body_goes_on(cells: list[Path]) -> None:
    with sending(aside=True) as send:
        send(cells[:1])
        for _ in range(600):
            if not unsent(cells[:1]):
                break
            threading.Event().wait(0.1)
        assert not unsent(cells[:1]) and unsent(cells[1:])


@pytest.mark.parametrize("aside", [True, False])
def test_a_store_that_fails_is_tried_once_and_disturbs_nobody(cells: list[Path], aside: bool) -> None:
    connect = Broken()
    sender = Sender(connect)
    with sending(aside, sender) as send:
        send(cells)
        send(cells)
    assert (connect.tried, sender.error) == (1, "down")
    assert len(unsent(cells)) == len(cells)


def test_an_unreadable_receipt_disturbs_nobody(cells: list[Path]) -> None:
    (cells[0] / RECEIPT).write_text("{")
    sender = Sender()
    sender.send(cells[:1])
    assert sender.error


def test_a_body_that_is_interrupted_does_not_wait_for_the_rest(cells: list[Path]) -> None:
    entered, release = threading.Event(), threading.Event()

    def connect() -> Tracker:
        entered.set()
        assert release.wait(60)
        return open_tracker()

    with pytest.raises(KeyboardInterrupt), sending(True, Sender(connect)) as send:
        send(cells)
        assert entered.wait(60)
        threading.Timer(0.2, release.set).start()
        raise KeyboardInterrupt
    assert len(unsent(cells)) == len(cells) - 1  # the one under way is whole


def test_what_is_sent_already_opens_no_store(cells: list[Path]) -> None:
    send_all(open_tracker(), cells)
    connect = Broken()
    Sender(connect).send(cells)
    assert connect.tried == 0


class Interrupted(InProcess):
    """Ctrl-C when the first job has ended and was handed on."""

    def run(self, jobs: Sequence[Job], folder: Path, notify: Notify) -> Iterator[Outcome]:
        for number, outcome in enumerate(super().run(jobs, folder, notify)):
            if number:
                raise KeyboardInterrupt
            yield outcome


def test_a_run_that_is_interrupted_and_resumed_has_every_run_once(
    tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runner, "make_executor", lambda *_: Interrupted())
        run_suite(SUITE, tmp_path / "run", workers=1, strict=True, console=quiet)
    assert len(names()) == 1  # sent before the second job ended
    summary = run_suite(SUITE, tmp_path / "run", workers=1, strict=True, console=quiet)
    assert summary.ok and not summary.tracking_error
    assert sorted(names()) == sorted(cell.name for cell in finished_cells(tmp_path / "run"))
    assert len(names()) == 2


def test_the_table_of_trials_is_one_of_mlflow(cells: list[Path]) -> None:
    """The text is what MLflow's own ``log_table`` writes of the same columns."""
    (cells[0] / "trials.json").write_text('{"number": [0, 1], "state": ["COMPLETE", "FAIL"], "utility@1": [0.5, NaN]}')
    tracker = open_tracker()
    run = tracker.send(cells[0])
    table = tracker.client.load_table(tracker.experiment, "trials.json", [run])
    assert table["number"].tolist() == [0, 1] and table["state"].tolist() == ["COMPLETE", "FAIL"]
    assert table["utility@1"].isna().tolist() == [False, True]
    other = tracker.client.create_run(tracker.experiment).info.run_id
    tracker.client.log_table(other, {"number": [0, 1], "utility@1": [0.5, float("nan")]}, "trials.json")
    tag = "mlflow.loggedArtifacts"
    assert tracker.client.get_run(run).data.tags[tag] == tracker.client.get_run(other).data.tags[tag]
