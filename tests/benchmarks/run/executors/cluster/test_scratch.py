"""Copies of a run on nodes that share nothing: gone when it has ended, also with a killed driver, and not before."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import Suite
from benchmarks.run.executors.cluster import scratch as module
from benchmarks.run.executors.cluster.executor import RayCluster
from benchmarks.run.executors.cluster.own_nodes import own_nodes
from benchmarks.run.executors.cluster.scratch import HELD, UNUSED, clear_ended, run_name, scratch
from benchmarks.run.executors.cluster.stored_work import stored_work
from benchmarks.run.executors.cluster.worker import Place
from benchmarks.run.failure import Failure
from benchmarks.run.telling.notify import Notify
from benchmarks.run.units import Unit
from foundation.files import write_text

ROOT = Path(__file__).resolve().parents[5]
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray (group cluster) is not installed")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAIRMOE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def folder_of(run: str, node: str, age: float = 0.0) -> Path:
    """What a process left in a node's folder of a run before it ended, so many seconds ago."""
    folder = module._of_run(run) / node
    folder.mkdir(parents=True)
    (folder / "file").touch()
    (folder / HELD).touch()
    os.utime(folder / HELD, (time.time() - age, time.time() - age))
    return folder


def test_folders_of_ended_runs_go_and_no_other(home: Path) -> None:
    ended, old, half = folder_of("ended", "mine"), folder_of("else", "foreign", UNUSED + 60), folder_of("x", "y.tmp")
    stay = [folder_of("now", "gone"), folder_of("other", "mine"), folder_of("young", "foreign", UNUSED - 60)]
    clear_ended("now", ["mine", "gone"], {run_name("other")})
    assert not any(folder.exists() for folder in (ended, old, half))
    assert not ended.parent.exists() and not old.parent.exists()
    assert all((folder / "file").exists() for folder in stay)


def test_a_folder_in_which_a_process_works_stays_until_that_has_ended(home: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready, leave = context.Event(), context.Event()

    def work_there() -> None:
        scratch("busy")
        ready.set()
        leave.wait()

    worker = context.Process(target=work_there)
    worker.start()
    assert ready.wait(60)
    clear_ended("now", [module.HERE], ())
    assert (module._of_run("busy") / module.HERE / HELD).exists()
    leave.set()
    worker.join()
    clear_ended("now", [module.HERE], ())
    assert not module._of_run("busy").exists()


def test_a_process_whose_folder_was_removed_has_a_new_one(home: Path) -> None:
    first = scratch("run")
    module._HOLDS[first].close()
    del module._HOLDS[first]  # as if another process had held it
    clear_ended("now", [module.HERE], ())
    assert not first.exists()
    assert scratch("run") == first and (first / HELD).exists()
    clear_ended("now", [module.HERE], ())
    assert first.exists()


def jobs(splits: int) -> list[Job]:
    suite = Suite(name="t", tasks=("scm",), splits=splits, methods=("constant", "utility"))
    return list(plan(suite, {"scm": "0" * 64}))


def copied(job: Job, unit: Unit, place: Place, notify: Notify) -> list[Failure]:
    """A unit of a node that shares nothing; where a file says so, one that waits until it is killed."""
    node = scratch(place.sign)
    write_text(place.folder.parent / "seen" / f"{job.name} {unit.name}", str(node))

    def compute(job: Job, unit: Unit, folder: Path, notify: Notify) -> list[Failure]:
        write_text(folder / job.folder / "tune" / unit.name, unit.name)
        while (place.folder.parent / "wait").exists():
            time.sleep(0.1)
        return []

    return stored_work(job, unit, node, place.store, notify, compute)


DRIVER = """
import sys
from pathlib import Path
from tests.benchmarks.run.executors.cluster.test_scratch import run_copied
run_copied(sys.argv[1], Path(sys.argv[2]))
"""


def run_copied(address: str, folder: Path) -> None:
    """Jobs whose results return through a store."""
    cluster = RayCluster(address, 1, store=f"file://{folder}/store", task=copied)
    for outcome in cluster.run(jobs(2), folder / "jobs", lambda *_: None):
        assert not outcome.failures and not outcome.error


@needs_ray
@pytest.mark.slow
def test_nodes_keep_nothing_of_a_run_that_ended_nor_of_one_whose_driver_was_killed(home: Path, tmp_path: Path) -> None:
    import ray

    own = os.environ | {"PYTHONPATH": str(ROOT), "FAIRMOE_HOME": str(tmp_path / "drivers")}
    (tmp_path / "wait").touch()
    with own_nodes(2) as made:  # whose folder is not the driver's
        call = [sys.executable, "-c", DRIVER, made.address, str(tmp_path)]
        first = subprocess.Popen(call, env=own)
        while len(list((tmp_path / "seen").glob("*"))) < 2 and first.poll() is None:
            time.sleep(0.1)
        first.send_signal(signal.SIGKILL)
        first.wait()
        while ray.util.list_named_actors(all_namespaces=True):
            time.sleep(0.1)  # until Ray has seen that the driver is gone
        (tmp_path / "wait").unlink()
        left = {path.read_text() for path in (tmp_path / "seen").iterdir()}
        assert len(left) == 2 and all(Path(each).is_dir() for each in left)
        assert subprocess.run(call, env=own, check=False).returncode == 0
        seen = {path.read_text() for path in (tmp_path / "seen").iterdir()}
        assert not left & seen
        assert [path for path in (home / "cluster").rglob("*") if path.is_file()] == []
