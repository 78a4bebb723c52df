"""Executors: the same outcomes in one process and in several; failures and dead workers are survived."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from benchmarks.executor import Executor, InProcess, Notify, Outcome, Processes
from benchmarks.job import Job, plan
from benchmarks.suite import Suite


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
