"""Jobs in this process, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.run.executors.executor import Outcome, Work, attempt, throttled
from benchmarks.run.telling.notify import Notify

if TYPE_CHECKING:
    from benchmarks.plan.job import Job


class InProcess:
    """One job after the other in this process."""

    def __init__(self, work: Work = attempt) -> None:
        self.work = work

    def run(self, jobs: Sequence[Job], folder: Path, notify: Notify) -> Iterator[Outcome]:
        """See :class:`Executor`."""
        for job in jobs:
            yield self.work(job, folder, throttled(notify))
