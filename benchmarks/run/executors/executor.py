"""Executors: where jobs run, what they hand back, and how one job is tried."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from benchmarks.run.telling.notes import notes_kept
from benchmarks.run.telling.notify import Notify

if TYPE_CHECKING:
    from benchmarks.plan.job import Job
    from benchmarks.run.failure import Failure


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


RunJob = Callable[["Job", Path, Notify], "list[Failure]"]
"""Computes a job's missing cells below a folder; what it hands back are those that could not be computed."""


def attempt(job: Job, folder: Path, notify: Notify, run: RunJob | None = None) -> Outcome:
    """Run one job, by default with its rows in memory; what goes wrong inside becomes the outcome's error."""
    from benchmarks.run.compute import run_job

    try:
        with notes_kept(folder / job.folder):
            return Outcome(job, failures=tuple((run or run_job)(job, folder, notify)))
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException:  # noqa: BLE001 - the boundary: one failed job must not end the others, and is reported
        return Outcome(job, traceback.format_exc())


Work = Callable[["Job", Path, Notify], Outcome]


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
