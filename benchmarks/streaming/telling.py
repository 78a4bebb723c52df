"""How far a streamed job is: one bar per stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from foundation.progress import CountedBars, counted_bars


class StageBars:
    """Bars that appear with their stage; also the watcher of a ledger, which tells how far studies are."""

    def __init__(self, bars: CountedBars) -> None:
        self._bars = bars
        self.tell = bars.tell

    def reached(self, entry: str, share: float) -> None:
        """A share of a part of the ledger is done: in hundredths."""
        self.tell(_stage(entry), round(100 * share), 100)

    def ended(self, entry: str, seconds: float, within: list[str]) -> None:  # noqa: ARG002 - a Watcher
        """A part that was told of is done."""
        self._bars.finish(_stage(entry))


def _stage(entry: str) -> str:
    """The stage of an entry of the ledger, which may say its repetition in brackets."""
    return entry.partition(" (")[0]


@contextmanager
def stage_bars(name: str, console: Console) -> Iterator[StageBars]:
    """The bars of a job, whose name stands above them."""
    with counted_bars(console, always=True) as shown:
        console.print(f"{name}: streamed", highlight=False)
        yield StageBars(shown)
