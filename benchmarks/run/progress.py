"""What a person sees while jobs run: one bar for all, one line for each running job."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text


class JobProgress:
    """Turns messages of the jobs into bars; on a dumb terminal into one line per finished job."""

    def __init__(self, total: int, bars: Progress, console: Console) -> None:
        self._bars, self._console = bars, console
        self._overall = bars.add_task("all jobs", total=total, stage="")
        self._lines: dict[str, TaskID] = {}
        self._share: dict[str, float] = {}
        self._finished, self._total = 0, total
        self._start = time.monotonic()

    def notify(self, job: str, stage: str, share: float) -> None:
        """A job reached a stage; ``share`` in [0, 1] of it is done."""
        if job not in self._lines:
            self._lines[job] = self._bars.add_task(job, total=1.0, stage=stage)
        self._share[job] = share
        self._bars.update(self._lines[job], completed=share, stage=stage)
        self._bars.update(self._overall, completed=self._finished + sum(self._share.values()))

    def finish(self, job: str, failed: bool) -> None:
        """A job ended."""
        self._finished += 1
        self._share.pop(job, None)
        if job in self._lines:
            self._bars.remove_task(self._lines.pop(job))
        self._bars.update(self._overall, completed=self._finished + sum(self._share.values()))
        if not self._console.is_terminal:
            elapsed = time.monotonic() - self._start
            left = elapsed / self._finished * (self._total - self._finished)
            word = "failed" if failed else "finished"
            self._console.print(
                f"[{self._finished}/{self._total}] {job} {word}; {elapsed:.0f} s, about {left:.0f} s left",
                highlight=False,
            )


class TimeLeft(ProgressColumn):
    """Time left if the rest goes as fast as what is done: a stage without news does not freeze it."""

    def render(self, task: Task) -> Text:
        """Words for one line."""
        share = task.completed / task.total if task.total else 0.0
        if task.elapsed is None or share < 0.02:
            return Text("")
        seconds = round(task.elapsed * (1 - share) / share)
        return Text(f"{seconds // 60}:{seconds % 60:02} left", style="progress.remaining")


@contextmanager
def show_progress(total: int, console: Console) -> Iterator[JobProgress]:
    """Progress of ``total`` jobs on the console."""
    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(min_width=22, no_wrap=True)),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TextColumn("{task.fields[stage]}", markup=False, table_column=Column(min_width=28, no_wrap=True)),
        TimeElapsedColumn(),
        TimeLeft(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        yield JobProgress(total, bars, console)
