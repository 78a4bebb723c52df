"""What a suite would do, without doing it: jobs, cells, what is finished, how long the rest takes, what to download."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.plan.job import Job
from benchmarks.plan.outlook import outlook, print_outlook
from benchmarks.plan.part_shares import TIMING, recorded_seconds
from benchmarks.plan.scheduling.units import Stages, costed, plan_units
from benchmarks.plan.shard import Shard, cut, job_costs, jobs_of_shard, suite_jobs, tasks_of
from benchmarks.plan.spans import bytes_text, span_text
from benchmarks.plan.suite import Suite
from benchmarks.plan.time_estimate import MACHINE, Clock, Span, earlier_jobs
from foundation.console import styled
from foundation.words import plural
from tasks.card import Card
from tasks.fetch import available, edited
from tasks.registry import resolve

SHOWN = 20
"""Shares whose cost is printed."""


@dataclass(frozen=True)
class Planned:
    """A job, the cells that it still has to compute, and how long that takes."""

    job: Job
    pending: tuple[tuple[str, int], ...]
    seconds: Span
    done: Mapping[str, float] = field(default_factory=dict)

    @property
    def cells(self) -> int:
        """Cells in all."""
        return len(self.job.cells())


@dataclass(frozen=True)
class DryRun:
    """What ``fairmoe bench`` would do; computes, downloads and writes nothing.

    Attributes
    ----------
    suite : Suite
    output : Path
        Cells that are finished here count as finished.
    workers : int
        Worker processes, which share the time.
    stages : callable
        Units of a job: :func:`benchmarks.run.units.units_of`.
    shard : Shard or None
        Only this share of the jobs.
    nodes : tuple of int
        Further numbers of nodes that it might run on.
    """

    suite: Suite
    output: Path
    workers: int
    stages: Stages
    shard: Shard | None = None
    nodes: tuple[int, ...] = ()

    @cached_property
    def clock(self) -> Clock:
        """What earlier jobs took."""
        return earlier_clock(self.suite, self.output)

    @cached_property
    def planned(self) -> list[Planned]:
        """The jobs."""
        return planned_jobs(jobs_of_shard(self.suite, self.shard), self.output, self.clock)

    def facts(self) -> dict[str, Any]:
        """The plan for an executor, JSON-able: see :func:`benchmarks.plan.outlook.outlook`; of a share, all shares."""
        todo = [entry for entry in self.planned if entry.pending]
        stages = ((entry, self.stages(entry.job, entry.pending)) for entry in todo)
        units = plan_units(costed(entry.job, units, self.clock, entry.done) for entry, units in stages)
        return {
            "suite": self.suite.name, "version": self.suite.version, "suite_hash": self.suite.hash,
            "shard": None if self.shard is None else [self.shard.index, self.shard.of], "jobs": len(self.planned),
            "cells": sum(entry.cells for entry in self.planned),
            "pending": sum(len(entry.pending) for entry in self.planned),
            "earlier_jobs": len(self.clock.used), "built_in_rates": self.clock.guessed > 0,
            **outlook(units, (self.workers, *self.nodes)),
            "shards": [] if self.shard is None else shard_costs(self.suite, self.shard.of),
        }  # fmt: skip


def shard_costs(suite: Suite, count: int) -> list[dict[str, float]]:
    """Jobs and node-hours of each share of a suite, by the built-in rates that it is cut by."""
    shares = cut(suite_jobs(suite), count)
    return [{"jobs": len(share), "node_hours": sum(job_costs(share)) / 3_600_000} for share in shares]


def print_plan(dry: DryRun, console: Console) -> None:
    """Print what ``fairmoe bench`` would do."""
    suite, planned, workers = dry.suite, dry.planned, dry.workers
    cards = [resolve(task).card for task in tasks_of([entry.job for entry in planned])]
    share = "" if dry.shard is None else f", {dry.shard}"
    head = f"{suite.name}{share} (version {suite.version}, hash {suite.hash[:12]}), output {dry.output}"
    console.print(head, highlight=False)
    console.print(_table(planned))
    _print_totals(planned, workers, console)
    if any(entry.pending for entry in planned):
        facts = dry.facts()
        print_outlook(facts, console)
        _print_shards(facts["shards"], console)
    _print_source(planned, dry.clock, console)
    _print_downloads(cards, console)
    console.print("Nothing was computed or downloaded: leave --dry-run out to start.")


def _print_shards(shards: Sequence[Mapping[str, float]], console: Console) -> None:
    """What the shares cost, and how even they are."""
    if not shards:
        return
    hours = [shard["node_hours"] for shard in shards]
    each = ", ".join(f"{place}: {cost:,.2f}" for place, cost in enumerate(hours[:SHOWN], start=1))
    more = f" and {len(hours) - SHOWN} more (--json has all)" if len(hours) > SHOWN else ""
    console.print(
        f"Node-hours of the {plural(len(shards), 'shard')} by the built-in rates: "
        f"{min(hours):,.2f} to {max(hours):,.2f} "
        f"({each}{more}).",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


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
    done = recorded_seconds(jobs / job.folder / TIMING)
    return Planned(job, pending, clock.job(job, pending, done) if pending else Span(), done)


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
        f"{plural(len(planned), 'job')} ({len(planned) - len(todo)} finished), {plural(cells, 'cell')} "
        f"({cells - pending} finished, {pending} to compute).",
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
        f"Estimated time: {span_text(total)} on one core; {span_text(wall)} with {plural(used, 'worker')}.",
        highlight=False,
    )


def _print_source(planned: Sequence[Planned], clock: Clock, console: Console) -> None:
    if not any(entry.pending for entry in planned):
        return
    used = f"estimate from {plural(len(clock.used), 'earlier job')}" if clock.used else ""
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
