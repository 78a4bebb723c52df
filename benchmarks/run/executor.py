"""Executors: where jobs run. In this process, or in several processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.run.notify import Notify

if TYPE_CHECKING:
    from benchmarks.plan.job import Job
    from benchmarks.run.failure import Failure

ATTEMPTS = 3  # a worker that dies (out of memory, killed) takes its job with it; the job resumes from its stages


@dataclass(frozen=True)
class Outcome:
    """A job that ended: with its cells on disk, or with the text of what went wrong.

    ``error`` is a traceback that all the job's cells share; ``failures`` are cells that failed alone.
    """

    job: Job
    error: str = ""
    failures: tuple[Failure, ...] = ()


class Executor(Protocol):
    """Runs jobs in any order and yields their outcomes as they end."""

    def run(self, jobs: Sequence[Job], folder: Path, notify: Notify) -> Iterator[Outcome]:
        """Run every job; a failed job is an outcome with an error, never an exception."""
        ...


def attempt(job: Job, folder: Path, notify: Notify) -> Outcome:
    """Run one job; what goes wrong inside becomes the outcome's error."""
    from benchmarks.run.compute import run_job

    try:
        return Outcome(job, failures=tuple(run_job(job, folder, notify)))
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException:  # noqa: BLE001 - the boundary: one failed job must not end the others, and is reported
        return Outcome(job, traceback.format_exc())


Work = Callable[["Job", Path, Notify], Outcome]


class InProcess:
    """One job after the other in this process."""

    def __init__(self, work: Work = attempt) -> None:
        self.work = work

    def run(self, jobs: Sequence[Job], folder: Path, notify: Notify) -> Iterator[Outcome]:
        """See :class:`Executor`."""
        for job in jobs:
            yield self.work(job, folder, throttled(notify))


class Processes:
    """Several worker processes of this machine, one thread each."""

    def __init__(self, workers: int, work: Work = attempt) -> None:
        self.workers, self.work = workers, work

    def run(self, jobs: Sequence[Job], folder: Path, notify: Notify) -> Iterator[Outcome]:
        """See :class:`Executor`; jobs of a worker that died are tried again in a new pool."""
        left = list(jobs)
        for _ in range(ATTEMPTS):
            broken: list[Job] = []
            for job, outcome in self._pool(left, folder, notify):
                if outcome is None:
                    broken.append(job)
                else:
                    yield outcome
            if not broken:
                return
            left = broken
        for job in left:
            yield Outcome(job, f"The worker process died {ATTEMPTS} times (out of memory?). Try --jobs 1.")

    def _pool(self, jobs: Sequence[Job], folder: Path, notify: Notify) -> Iterator[tuple[Job, Outcome | None]]:
        context = multiprocessing.get_context("spawn")
        with context.Manager() as manager:
            messages = manager.Queue()
            listener = threading.Thread(target=_listen, args=(messages, notify), daemon=True)
            listener.start()
            pool = ProcessPoolExecutor(self.workers, mp_context=context, initializer=_start_worker)
            futures: dict[Future[Outcome], Job] = {
                pool.submit(_in_worker, self.work, job, folder, messages): job for job in jobs
            }
            try:
                for future in as_completed(futures):
                    try:
                        yield futures[future], future.result()
                    except BrokenProcessPool:
                        yield futures[future], None
            except (KeyboardInterrupt, GeneratorExit):
                _kill(pool)
                raise
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
                messages.put(None)
                listener.join()


def make_executor(workers: int) -> Executor:
    """In-process for one worker, a process pool for more."""
    return InProcess() if workers == 1 else Processes(workers)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from benchmarks.run.threads import limit_threads

    limit_threads()


def _end_with_parent() -> None:
    """A worker whose parent was killed must not go on computing for nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _in_worker(work: Work, job: Job, folder: Path, messages: Any) -> Outcome:
    return work(job, folder, throttled(lambda *message: messages.put(message)))


def throttled(notify: Notify, seconds: float = 0.2) -> Notify:
    """Hand on new stages at once, and news of the same stage a few times a second."""
    last = ("", 0.0)

    def seldom(job: str, stage: str, share: float) -> None:
        nonlocal last
        now = time.monotonic()
        if stage != last[0] or now - last[1] >= seconds:
            last = (stage, now)
            notify(job, stage, share)

    return seldom


def _listen(messages: Any, notify: Notify) -> None:
    while (message := messages.get()) is not None:
        notify(*message)


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((pool._processes or {}).values()):
        if process.pid is not None:
            os.kill(process.pid, signal.SIGTERM)
