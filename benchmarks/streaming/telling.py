"""How far a streamed job is: one bar per stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Bars:
    """Bars that appear with their stage; also the watcher of a ledger, which tells how far studies are."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._known: dict[str, TaskID] = {}

    def tell(self, what: str, done: int, total: int) -> None:
        """So much of a stage is done, out of so much."""
        if what not in self._known:
            self._known[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._known[what], completed=done, total=total)

    def reached(self, entry: str, share: float) -> None:
        """A share of a part of the ledger is done: in hundredths."""
        self.tell(entry.partition(" (")[0], round(100 * share), 100)

    def ended(self, entry: str, seconds: float, within: list[str]) -> None:  # noqa: ARG002 - a Watcher
        """A part that was told of is done."""
        what = entry.partition(" (")[0]
        if what in self._known:
            total = self._progress.tasks[self._known[what]].total
            self._progress.update(self._known[what], completed=total)


@contextmanager
def bars(name: str, console: Console) -> Iterator[Bars]:
    """The bars of a job, whose name stands above them."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        console.print(f"{name}: streamed", highlight=False)
        yield Bars(progress)
