"""What the units of jobs cost, and the units of a whole plan in one list.

Which units a job has is said by :mod:`benchmarks.run.units`, which executors run; it is handed in, because a plan knows
no run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from benchmarks.methods.method import Needs, Network, network_name
from benchmarks.plan.job import Job
from benchmarks.plan.scheduling.work import Work
from benchmarks.plan.time_estimate import SCORE, SPREAD, Clock, Span, refitted, rows_of


class Stage(Protocol):
    """What is asked of a unit: see :class:`benchmarks.run.units.Unit`."""

    @property
    def kind(self) -> str:
        """What it does."""

    @property
    def name(self) -> str:
        """Its own within its job."""

    @property
    def after(self) -> tuple[str, ...]:
        """Names of units before it."""

    @property
    def network(self) -> Network | None:
        """What is tuned."""

    @property
    def cells(self) -> tuple[tuple[str, int], ...]:
        """What is fitted and scored."""

    @property
    def resources(self) -> Needs:
        """What a node must have free."""


End = Literal["low", "likely", "high"]
"""Of an estimate."""

Stages = Callable[[Job, Sequence[tuple[str, int]]], Sequence[Stage]]
"""Units of the pending cells of a job, each behind those that it stands on."""


@dataclass(frozen=True)
class Costed:
    """A unit with what it costs.

    Attributes
    ----------
    job, stage, name : str
    seconds : Span
        On one node.
    after : tuple of int
        Places in the list of units of those that must be finished before.
    resources : Needs
    """

    job: str
    stage: str
    name: str
    seconds: Span
    after: tuple[int, ...]
    resources: Needs


def costed(job: Job, stages: Sequence[Stage], clock: Clock, done: Mapping[str, float]) -> list[Costed]:
    """Units of a job with their seconds, which add up to what :meth:`Clock.job` says of the job.

    Bags and summaries cost nothing here: ledgers count what a method asks for to the method.

    Parameters
    ----------
    job : Job
    stages : sequence of Stage
    clock : Clock
    done : mapping
        Its own ledger: networks there are tuned already.
    """
    places = {stage.name: place for place, stage in enumerate(stages)}
    asked = job.networks_of(list(dict.fromkeys(method for stage in stages for method, _ in stage.cells)))
    seeds: dict[str, int] = {}
    for stage in stages:
        for method, _ in stage.cells:
            seeds[method] = seeds.get(method, 0) + 1
    found = []
    for stage in stages:
        seconds = _of_cells(stage.cells, seeds, job, clock)
        if stage.kind == "tune" and stage.network in asked:
            part = f"tune {network_name(*stage.network)}"
            seconds += Span() if part in done else clock.part(part, job)
        after = tuple(places[name] for name in stage.after if name in places)
        found.append(Costed(job.name, stage.kind, stage.name, seconds, after, stage.resources))
    return found


def plan_units(jobs: Iterable[list[Costed]]) -> list[Costed]:
    """Units of several jobs in one list."""
    found: list[Costed] = []
    for units in jobs:
        first = len(found)
        found += [replace(unit, after=tuple(first + place for place in unit.after)) for unit in units]
    return found


def work_of(units: Sequence[Costed], end: End = "likely") -> Work:
    """Units as pieces of work, by one end of their estimates."""
    return Work(np.array([getattr(unit.seconds, end) for unit in units], dtype=np.float64), [u.after for u in units])


def _of_cells(cells: Sequence[tuple[str, int]], seeds: Mapping[str, int], job: Job, clock: Clock) -> Span:
    """Methods with their refits on folds, shared among their seeds, and scores."""
    score = SCORE.seconds(rows_of(job.task, job.protocol), 1) * len(cells)
    total = Span(score / SPREAD["rates"], score, score * SPREAD["rates"])
    for method, _ in cells:
        for part in (f"method {method}", *([f"refit {method}"] if refitted(method) else [])):
            total += clock.part(part, job).over(seeds[method])
    return total
