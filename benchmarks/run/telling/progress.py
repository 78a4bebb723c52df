"""What a person sees while jobs run: one bar for all, one line for each running job."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column

from benchmarks.run.telling.time_left import TimeLeft, in_words

LINE_SECONDS = 60.0
"""Where no bars are shown, a line at least so seldom tells how far the jobs are."""
ANY = ""
"""A job whose name is not known before it starts."""


class JobProgress:
    """Turns messages of the jobs into bars; on a dumb terminal into a line per finished job, and one now and then.

    Parameters
    ----------
    expected : mapping of job name -> seconds
        What each job is estimated to take.
    """

    def __init__(self, expected: Mapping[str, float], bars: Progress, console: Console, workers: int) -> None:
        self._bars, self._console = bars, console
        self._left = TimeLeft(expected, workers)
        self._overall = bars.add_task("all jobs", total=1.0, stage="", left="")
        self._lines: dict[str, TaskID] = {}
        self._share: dict[str, float] = {}
        self._names = set(expected)
        self._finished, self._total = 0, len(expected)
        self._start = self._told = time.monotonic()

    def notify(self, job: str, stage: str, share: float) -> None:
        """A job reached a stage; ``share`` in [0, 1] of it is done, which never goes back."""
        if job not in self._lines:
            self._lines[job] = self._bars.add_task(job, total=1.0, stage=stage, left="")
        self._share[job] = max(share, self._share.get(job, 0.0))
        self._bars.update(self._lines[job], completed=self._share[job], stage=stage)
        left = self._reached(job, self._share[job])
        if not self._console.is_terminal and time.monotonic() - self._told >= LINE_SECONDS:
            self._tell(f"{job} {self._share[job]:.0%}: {stage}", left)

    def finish(self, job: str, failed: bool) -> None:
        """A job ended."""
        self._finished += 1
        self._share.pop(job, None)
        if job in self._lines:
            self._bars.remove_task(self._lines.pop(job))
        left = self._reached(job, 1.0)
        if not self._console.is_terminal:
            self._tell(f"{job} {'failed' if failed else 'finished'}", left)

    def _reached(self, job: str, share: float) -> float:
        """Seconds left, which the bar of all jobs shows."""
        self._left.reached(job if job in self._names else ANY, share)
        left = self._left.seconds(time.monotonic() - self._start)
        words = f"{in_words(left)} left" if self._left.share < 1 else ""
        self._bars.update(self._overall, completed=self._left.share, left=words)
        return left

    def _tell(self, news: str, left: float) -> None:
        self._told = time.monotonic()
        elapsed = self._told - self._start
        rest = f", {in_words(left)} left" if self._finished < self._total else ""
        self._console.print(f"[{self._finished}/{self._total}] {news}; {elapsed:.0f} s{rest}", highlight=False)


@contextmanager
def show_progress(expected: Mapping[str, float], console: Console, *, workers: int = 1) -> Iterator[JobProgress]:
    """Progress of jobs on the console.

    Parameters
    ----------
    expected : mapping of job name -> seconds
        What each job is estimated to take; ``ANY`` stands for a job whose name is not known.
    workers : int
        Jobs that run at a time.
    """
    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(min_width=22, no_wrap=True)),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TextColumn("{task.fields[stage]}", markup=False, table_column=Column(min_width=22, no_wrap=True)),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False, table_column=Column(no_wrap=True)),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        yield JobProgress(expected, bars, console, workers)
