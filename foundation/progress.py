"""How far work in several parts is: a bar for each part, which appears with its first news."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TaskID

Tell = Callable[[str, int, int], None]
"""Called with (what is done, how much of it, out of how much; 0 of all where nobody knows)."""


def silent(what: str, done: int, total: int) -> None:
    """Nobody watches."""


class CountedBars:
    """A bar for each part that is told of.

    Parameters
    ----------
    progress : rich.progress.Progress
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._known: dict[str, TaskID] = {}

    def tell(self, what: str, done: int, total: int) -> None:
        """So much of a part is done, out of so much (0: nobody knows)."""
        if what not in self._known:
            self._known[what] = self._progress.add_task(what, total=total or None)
        self._progress.update(self._known[what], completed=done, total=total or None)

    def finish(self, what: str) -> None:
        """A part is done; one that was never told of is nothing to show."""
        if what in self._known:
            total = self._progress.tasks[self._known[what]].total
            self._progress.update(self._known[what], completed=total)


@contextmanager
def counted_bars(
    console: Console, *columns: ProgressColumn, transient: bool = False, always: bool = False
) -> Iterator[CountedBars]:
    """Bars on a console; where it is no terminal, nothing.

    Parameters
    ----------
    console : Console
    *columns : ProgressColumn
        What stands behind name and bar; default: counts and time since the start.
    transient : bool
        Whether the bars go when they are done.
    always : bool
        Whether their last state is printed where there is no terminal, too.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    shown = columns or (MofNCompleteColumn(), TimeElapsedColumn())
    label = TextColumn("{task.description}", markup=False)
    hidden = not (always or console.is_terminal)
    with Progress(
        label, BarColumn(bar_width=20), *shown, console=console, transient=transient, disable=hidden
    ) as progress:
        yield CountedBars(progress)
