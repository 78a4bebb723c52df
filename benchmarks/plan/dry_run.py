"""What a suite would do, without doing it: jobs, cells, what is finished, how long the rest takes, what to download."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import Suite
from benchmarks.plan.time_estimate import MACHINE, Clock, Span, earlier_jobs
from foundation.console import styled
from tasks.card import Card
from tasks.fetch import available, edited
from tasks.registry import resolve


@dataclass(frozen=True)
class Planned:
    """A job, the cells that it still has to compute, and how long that takes."""

    job: Job
    pending: tuple[tuple[str, int], ...]
    seconds: Span

    @property
    def cells(self) -> int:
        """Cells in all."""
        return len(self.job.cells())


def print_plan(suite: Suite, output: Path, workers: int, console: Console) -> None:
    """Print what ``fairmoe bench`` would do; computes, downloads and writes nothing.

    Parameters
    ----------
    suite : Suite
    output : Path
        Cells that are finished here count as finished.
    workers : int
        Worker processes, which share the time.
    console : Console
    """
    cards = {task: resolve(task).card for task in suite.all_tasks}
    clock = earlier_clock(suite, output)
    planned = planned_jobs(list(plan(suite, {task: card.hash for task, card in cards.items()})), output, clock)
    console.print(f"{suite.name} (version {suite.version}, hash {suite.hash[:12]}), output {output}", highlight=False)
    console.print(_table(planned))
    _print_totals(planned, workers, console)
    _print_source(planned, clock, console)
    _print_downloads(list(cards.values()), console)
    console.print("Nothing was computed or downloaded: leave --dry-run out to start.")


def earlier_clock(suite: Suite, output: Path) -> Clock:
    """Estimates from the clocks of earlier jobs in the output folder and its neighbours."""
    return Clock(earlier_jobs(_outputs(output), suite.facts))


def planned_jobs(jobs: Sequence[Job], output: Path, clock: Clock) -> list[Planned]:
    """What each job still has to compute in an output folder, and how long that takes."""
    return [_planned(job, output / "jobs", clock) for job in jobs]


def _outputs(output: Path) -> list[Path]:
    """The output folder and its neighbours: results of the same machine."""
    near = sorted(output.parent.glob("*/suite.json")) if output.parent.is_dir() else []
    return list(dict.fromkeys([output, *(path.parent for path in near)]))


def _planned(job: Job, jobs: Path, clock: Clock) -> Planned:
    cells = jobs / job.folder / "cells"
    finished = {entry.name for entry in os.scandir(cells)} if cells.is_dir() else set()
    pending = tuple(cell for cell in job.cells() if not finished or job.cell_key(*cell) not in finished)
    ledger = jobs / job.folder / "timing.json"
    done = json.loads(ledger.read_text(encoding="utf-8")) if ledger.is_file() else {}
    return Planned(job, pending, clock.job(job, pending, done) if pending else Span())


def _table(planned: Sequence[Planned]) -> Table:
    table = Table(title="What is to be done", title_justify="left")
    table.add_column("task", overflow="fold")
    for name in ("jobs", "cells", "finished", "time on one core"):
        table.add_column(name, justify="right")
    for task in dict.fromkeys(entry.job.title for entry in planned):
        here = [entry for entry in planned if entry.job.title == task]
        cells, pending = sum(e.cells for e in here), sum(len(e.pending) for e in here)
        table.add_row(task, str(len(here)), str(cells), str(cells - pending), span_text(_sum(here)))
    return table


def _sum(planned: Sequence[Planned]) -> Span:
    return sum((entry.seconds for entry in planned), Span())


def _print_totals(planned: Sequence[Planned], workers: int, console: Console) -> None:
    todo = [entry for entry in planned if entry.pending]
    cells, pending = sum(e.cells for e in planned), sum(len(e.pending) for e in planned)
    console.print(
        f"{len(planned)} jobs ({len(planned) - len(todo)} finished), {cells} cells ({cells - pending} finished, "
        f"{pending} to compute).",
        highlight=False,
        soft_wrap=True,
    )
    if not todo:
        console.print("Nothing is left to compute: the command would only write the tables and pages again.")
        return
    total, used = _sum(todo), min(workers, len(todo))
    shared = total.over(used)
    longest = max((entry.seconds for entry in todo), key=lambda span: span.likely)
    wall = Span(max(shared.low, longest.low), max(shared.likely, longest.likely), max(shared.high, longest.high))
    console.print(
        f"Estimated time: {span_text(total)} on one core; {span_text(wall)} with {used} worker(s).", highlight=False
    )


def _print_source(planned: Sequence[Planned], clock: Clock, console: Console) -> None:
    if not any(entry.pending for entry in planned):
        return
    used = f"estimate from {len(clock.used)} earlier jobs" if clock.used else ""
    rates = f"from built-in rates (rough: {MACHINE}; other machines differ by a factor of 3)" if clock.guessed else ""
    text = "; the rest ".join(filter(None, (used, rates if used else f"estimate {rates}")))
    console.print(f"{text[0].upper()}{text[1:]}.", highlight=False, soft_wrap=True)


def _print_downloads(cards: Sequence[Card], console: Console) -> None:
    """Name the tables that are not on this machine."""
    missing = {card.name: card for card in cards if not available(card)}
    for card in missing.values():
        files = [file for file in card.file if file.role == "table"]
        size = bytes_text(sum(file.bytes for file in files))
        by_hand = [file.name for file in files if not file.url]
        how = f"to be put in place by hand: {', '.join(by_hand)}" if by_hand else "to download"
        words = styled("NOT HERE YET", "bold yellow", f" {card.name}: {size} {how}")
        console.print(words, highlight=False, soft_wrap=True)
    changed = {card.name: told for card in cards if (told := edited(card))}
    for told in changed.values():
        console.print(styled("NOT AS ITS CARD SAYS", "bold yellow", f" {told}"), highlight=False, soft_wrap=True)
    if not missing and not changed:
        console.print("All data are on this machine.")


def bytes_text(count: int) -> str:
    """``3.4 MB``: powers of 1000, two digits."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.{0 if value >= 10 or unit == 'B' else 1}f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def span_text(span: Span) -> str:
    """``4 to 20 min``: both ends in the unit of the larger one; ``–`` for nothing to do."""
    if span.high <= 0:
        return "–"
    unit, size = next(
        (u, s) for u, s in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)) if span.high >= s or s == 1
    )
    low, high = _short(span.low / size), _short(span.high / size)
    return f"{high} {unit}" if low == high else f"{low} to {high} {unit}"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 9.5 or value == 0 else f"{value:.1g}"
