"""Executors: the same outcomes in one process and in several; failures and dead workers are survived."""

from __future__ import annotations

import contextlib
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
from benchmarks.run.deaths import ATTEMPTS, MethodDiedError, UnderWay
from benchmarks.run.executors.executor import Executor, Outcome
from benchmarks.run.executors.in_process import InProcess
from benchmarks.run.executors.processes import Processes
from benchmarks.run.telling.notify import Notify


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


def poison_on_split_0(job: Job, folder: Path, notify: Notify) -> Outcome:
    (folder / f"{job.split}.{os.getpid()}.try").touch()
    if job.split == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return leave_a_mark(job, folder, notify)


def test_one_job_that_kills_its_worker_fails_alone(tmp_path: Path) -> None:
    outcomes = list(Processes(2, poison_on_split_0).run(jobs(21), tmp_path, lambda *_: None))
    assert sorted(outcome.job.split for outcome in outcomes) == list(range(21))
    assert {o.job.split for o in outcomes if o.error} == {0}
    (error,) = [o.error for o in outcomes if o.error]
    assert "died 3 times" in error and "\n" not in error
    assert len(list(tmp_path.glob("0.*.try"))) == 3


def two_poisons(job: Job, folder: Path, notify: Notify) -> Outcome:
    if job.split in (1, 2):
        os.kill(os.getpid(), signal.SIGKILL)
    return leave_a_mark(job, folder, notify)


def test_two_jobs_that_kill_their_workers_fail_and_the_others_finish(tmp_path: Path) -> None:
    outcomes = list(Processes(2, two_poisons).run(jobs(5), tmp_path, lambda *_: None))
    assert {o.job.split: bool(o.error) for o in outcomes} == {0: False, 1: True, 2: True, 3: False, 4: False}


def dies_in_methods(job: Job, folder: Path, notify: Notify) -> Outcome:
    """Job 0 is taken by a death while it loads; on its own it dies in each of two methods until they are refused."""
    notes = UnderWay(folder / job.folder)
    if job.split == 0 and not (folder / "loaded").exists():
        (folder / "loaded").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    for method in ("a", "b") if job.split == 0 else ():
        with contextlib.suppress(MethodDiedError), notes.noted(method, 0):
            os.kill(os.getpid(), signal.SIGKILL)
    return leave_a_mark(job, folder, notify)


def test_deaths_in_methods_do_not_use_up_the_attempts_of_their_job(tmp_path: Path) -> None:
    outcomes = {o.job.split: o.error for o in Processes(2, dies_in_methods).run(jobs(3), tmp_path, lambda *_: None)}
    assert outcomes == {0: "", 1: "", 2: ""}
    assert UnderWay(tmp_path / jobs(1)[0].folder).deaths() == 2 * (ATTEMPTS - 1)


def raise_what_cannot_be_sent(job: Job, folder: Path, notify: Notify) -> Outcome:
    if job.split == 0:
        return Outcome(job, failures=(lambda: None,))  # type: ignore[arg-type]
    if job.split == 1:
        raise SystemExit(3)
    return leave_a_mark(job, folder, notify)


def test_what_a_worker_cannot_hand_back_is_its_jobs_error(tmp_path: Path) -> None:
    executor = Processes(2, raise_what_cannot_be_sent)
    outcomes = {o.job.split: o.error for o in executor.run(jobs(3), tmp_path, lambda *_: None)}
    assert "pickle" in outcomes[0] and "SystemExit" in outcomes[1] and outcomes[2] == ""


ORPHANS = """
import sys
from pathlib import Path
from benchmarks.run.executors.processes import Processes
from tests.benchmarks.run.executors.test_processes import jobs, never_end
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
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[4])}
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
