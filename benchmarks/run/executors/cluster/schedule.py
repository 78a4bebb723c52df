"""Which units of all jobs may start, and what becomes of jobs whose units end or die; knows nothing of Ray."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.methods.method import MODEST, Needs
from benchmarks.plan.job import Job
from benchmarks.plan.scheduling.units import costed, plan_units, work_of
from benchmarks.plan.scheduling.work import longest_first
from benchmarks.plan.time_estimate import Clock
from benchmarks.run.deaths import ATTEMPTS
from benchmarks.run.failure import Failure
from benchmarks.run.units import Unit, units_of

LOSSES = 50
"""How often a unit is started again because its node went away: no fault of its own, but there is an end to it."""


@dataclass
class Lost:
    """How often a unit was lost."""

    worker: int = 0
    node: int = 0

    @property
    def spent(self) -> bool:
        """Whether it has had all its attempts."""
        return self.worker >= ATTEMPTS or self.node >= LOSSES


@dataclass
class JobUnits:
    """A job's units: those that wait, those that ended, and what failed."""

    job: Job
    waiting: list[Unit]
    under_way: int = 0
    ended: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)
    lost: dict[str, Lost] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def ready(self) -> Iterator[Unit]:
        """Units whose needs have ended, removed from those that wait; one that stands on a dead one is dead too."""
        while doomed := [unit for unit in self.waiting if set(unit.after) & self.dead]:
            for unit in doomed:
                self.waiting.remove(unit)
                cause = self._cause(unit)
                why = self.reasons[unit.name] = self.reasons[cause]
                self._dies(unit, f"{cause} could not be computed, and these methods stand on it: {why}")
        for unit in list(self.waiting):
            if set(unit.after) <= self.ended:
                self.waiting.remove(unit)
                self.under_way += 1
                yield unit

    def _cause(self, unit: Unit) -> str:
        return next(name for name in unit.after if name in self.dead)

    def end(self, unit: Unit, failures: Sequence[Failure], error: str = "") -> None:
        """A unit ended, with what failed of it; ``error``: what all its cells failed of."""
        self.under_way -= 1
        self.ended.add(unit.name)
        self.failures += failures
        if error:
            self.failures += [Failure(method, repeat, error) for method, repeat in unit.cells]

    def loses(self, unit: Unit, *, node: bool, reason: str, counted: bool = True) -> None:
        """A unit's worker or node died, or was ended at a limit: it waits again, or its attempts are spent.

        ``counted`` false: the death is laid on one of its methods, which will be refused in the end.
        """
        lost = self.lost.setdefault(unit.name, Lost())
        lost.node += node and counted
        lost.worker += not node and counted
        if lost.spent:
            times = f"{unit.name} was started {lost.node + lost.worker} times and lost each time"
            self.gives_up(unit, f"{times}, the last time for this: {reason}")
        else:
            self.under_way -= 1
            self.waiting.append(unit)

    def gives_up(self, unit: Unit, reason: str) -> None:
        """A unit that was started is started no more, with its cells; the next run of the suite tries again."""
        self.under_way -= 1
        self.reasons[unit.name] = reason
        self._dies(unit, reason)

    def _dies(self, unit: Unit, reason: str) -> None:
        self.dead.add(unit.name)
        self.ended.add(unit.name)
        self.failures += [Failure(method, repeat, reason) for method, repeat in unit.cells]

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not self.waiting and not self.under_way


def job_units(job: Job, pending: Sequence[tuple[str, int]], text: Needs = MODEST, each: Needs = MODEST) -> JobUnits:
    """A job's units, all of them waiting; ``text`` and ``each``: what those of texts and all of them ask for, too."""
    units = units_of(job, pending, text)
    return JobUnits(job, [replace(unit, resources=unit.resources.both(each)) for unit in units])


def ranks(many: Sequence[JobUnits], clock: Clock) -> dict[tuple[str, str], int]:
    """(folder of the job, name of the unit) → its rank among all that wait: what may start is started in this order.

    The longest way to the end of its job goes first (:func:`benchmarks.plan.scheduling.work.longest_first`).
    """
    units = plan_units(costed(each.job, each.waiting, clock, {}) for each in many)
    rest = work_of(units).rest
    names = [(each.job.folder, unit.name) for each in many for unit in each.waiting]
    return {names[place]: rank for rank, place in enumerate(longest_first(rest.tolist()))}
