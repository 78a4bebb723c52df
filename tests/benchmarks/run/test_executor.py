"""Executors: the same outcomes in one process and in several; failures and dead workers are survived."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import Suite
from benchmarks.run.executor import Executor, InProcess, Outcome, Processes
from benchmarks.run.notify import Notify


def jobs(count: int) -> list[Job]:
    return list(plan(Suite(name="t", tasks=("scm",), splits=count, methods=("constant",)), {"scm": "0" * 64}))


def leave_a_mark(job: Job, folder: Path, notify: Notify) -> Outcome:
    notify(job.name, "working", 0.5)
    (folder / job.name).write_text("x")
    return Outcome(job)


def fail_on_split_1(job: Job, folder: Path, notify: Notify) -> Outcome:
    return Outcome(job, "boom") if job.split == 1 else leave_a_mark(job, folder, notify)


def die_once(job: Job, folder: Path, notify: Notify) -> Outcome:
    tombstone = folder / "died"
    if job.split == 0 and not tombstone.exists():
        tombstone.write_text("x")
        os.kill(os.getpid(), signal.SIGKILL)
    return leave_a_mark(job, folder, notify)


@pytest.mark.parametrize("executor", [InProcess(fail_on_split_1), Processes(2, fail_on_split_1)])
def test_a_failed_job_is_an_outcome_and_the_others_run(executor: Executor, tmp_path: Path) -> None:
    messages: list[tuple[str, str, float]] = []
    outcomes = {o.job.split: o.error for o in executor.run(jobs(3), tmp_path, lambda *m: messages.append(m))}
    assert outcomes == {0: "", 1: "boom", 2: ""}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scm_split0", "scm_split2"]
    assert len(messages) == 2


def test_a_worker_that_dies_is_replaced_and_its_job_run_again(tmp_path: Path) -> None:
    outcomes = {o.job.split: o.error for o in Processes(2, die_once).run(jobs(3), tmp_path, lambda *_: None)}
    assert outcomes == {0: "", 1: "", 2: ""}


ORPHANS = """
import sys
from pathlib import Path
from benchmarks.run.executor import Processes
from tests.benchmarks.run.test_executor import jobs, never_end
if __name__ == "__main__":
    list(Processes(2, never_end).run(jobs(2), Path(sys.argv[1]), lambda *_: None))
"""


def never_end(job: Job, folder: Path, notify: Notify) -> Outcome:
    (folder / f"{os.getpid()}.pid").touch()
    while True:
        time.sleep(0.1)


def test_workers_end_when_the_process_that_waits_for_them_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    folder = tmp_path / "out"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    parent = subprocess.Popen([sys.executable, str(script), str(folder)], env=environment)
    wait_until(lambda: len(list(folder.glob("*.pid"))) == 2)
    parent.kill()
    parent.wait()
    workers = [int(path.stem) for path in folder.glob("*.pid")]
    wait_until(lambda: not any(is_running(pid) for pid in workers))


def wait_until(done: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.1)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
