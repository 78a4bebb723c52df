"""One run on a connected cluster: attempts at units are started, overseen and ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from benchmarks.run.deaths import UnderWay
from benchmarks.run.executors.cluster.capacity import Node, holds, lack
from benchmarks.run.executors.cluster.error import ClusterError
from benchmarks.run.executors.cluster.limits import GONE_MINUTES, Limits, memory_watched
from benchmarks.run.executors.cluster.mailbox import Fact, Listener, Mailbox, Told
from benchmarks.run.executors.cluster.placement import Placement, Wish
from benchmarks.run.executors.cluster.schedule import JobUnits
from benchmarks.run.executors.cluster.scratch import NAMESPACE, run_name
from benchmarks.run.executors.cluster.store import Store
from benchmarks.run.executors.cluster.worker import Place, Report, attempted
from benchmarks.run.executors.executor import Outcome
from benchmarks.run.units import Unit, close_job

if TYPE_CHECKING:
    from benchmarks.plan.job import Job

POLL = 0.2
"""Seconds between two looks at the messages of workers."""
IN_FLIGHT = 2_000
"""Units that are handed to Ray at a time."""
NODES = 5.0
"""Seconds between two looks at whether nodes can still hold what waits for them."""
NODE_LABEL = "ray.io/node-id"
"""By which Ray knows each of its nodes."""


def live_nodes(ray: Any) -> list[Node]:
    """What each living node has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


@dataclass
class Attempt:
    """A unit that was handed to Ray.

    Attributes
    ----------
    units, unit
        What it is a part of, and what is computed.
    number : int
        Of the attempt, in the run.
    before : mapping
        Deaths within its methods until then.
    since : float or None
        When it was heard of first: it runs.
    node : str
        Where it runs.
    late, large, roomless : str
        Why the driver ended it: for its time, its memory, or because no node can hold it; "": it did not.
    lacking : float or None
        Since when no node can hold it.
    """

    units: JobUnits
    unit: Unit
    number: int
    before: dict[tuple[str, int], int]
    since: float | None = None
    node: str = ""
    late: str = ""
    large: str = ""
    roomless: str = ""
    lacking: float | None = None

    @property
    def stopped(self) -> bool:
        """Whether the driver ended it."""
        return bool(self.late or self.large or self.roomless)


def _in_worker(job: Job, unit: Unit, place: Place, mailbox: Any, task: Any, number: int, memory: int) -> Report:
    import ray

    node = ray.get_runtime_context().get_node_id()
    mailbox.note.remote(Fact(number, node))

    def notify(name: str, stage: str, share: float) -> None:
        mailbox.tell.remote(name, unit.name, stage, share)

    with memory_watched(memory, lambda found: mailbox.note.remote(Fact(number, node, found))):
        return attempted(job, unit, place, notify, task, node)


class Running:
    """Units of jobs on a connected cluster, until all have ended.

    Parameters
    ----------
    ray : module
        Connected.
    place : Place
    store : Store or None
    told : Told
        Takes the workers' news.
    task : callable
        What a worker does.
    order : mapping
        (folder of a job, name of a unit) → rank.
    limits : Limits
    placement : Placement
    tell : callable
        Called with a line for people.
    """

    def __init__(
        self,
        ray: Any,
        place: Place,
        store: Store | None,
        told: Told,
        task: Any,
        order: Mapping[tuple[str, str], int],
        limits: Limits,
        placement: Placement,
        tell: Callable[[str], None],
    ) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._place, self._store, self._told, self._task = ray, place, store, told, task
        self._folder, self._limits, self._tell = place.folder, limits, tell
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        name = {"name": run_name(place.sign), "namespace": NAMESPACE}
        self._mailbox = ray.remote(num_cpus=0, scheduling_strategy=here, max_restarts=-1, **name)(Mailbox).remote()
        self._listener = Listener(ray, self._mailbox)
        self._remote = ray.remote(max_retries=0)(_in_worker)
        self.nodes: set[str] = set()  # where units ran
        self._under_way: dict[Any, Attempt] = {}
        self._references: dict[int, Any] = {}
        self._count, self._looked = 0, time.monotonic()
        self._placement = placement
        self._order = order
        self._ready: list[tuple[int, JobUnits, Unit]] = []  # a heap by rank, and no rank twice

    def outcomes(self, left: list[JobUnits]) -> Iterator[Outcome]:
        """Run all units; a job is told when its last unit has ended."""
        for units in left:
            self._line_up(units)
        while left:
            self._start()
            if self._under_way:
                ended, _ = self._ray.wait(list(self._under_way), num_returns=1, timeout=POLL)
                for reference in ended:
                    self._line_up(self._end(reference))
            self._listen()
            self._oversee()
            for units in [units for units in left if units.done]:
                left.remove(units)
                close_job(units.job, self._folder)
                yield Outcome(units.job, failures=tuple(units.failures))

    def _line_up(self, units: JobUnits) -> None:
        """Put what may start of a job among all that may, by its rank."""
        for unit in units.ready():
            heappush(self._ready, (self._order[units.job.folder, unit.name], units, unit))

    def _start(self) -> None:
        """Hand to Ray what may start, as long as there is room."""
        while self._ready and len(self._under_way) < IN_FLIGHT:
            _, units, unit = heappop(self._ready)
            needs, job = unit.resources, units.job
            options = {
                "num_cpus": needs.cores, "num_gpus": needs.gpus, "resources": dict(needs.custom),
                "memory": needs.memory or None, "name": f"{job.name} {unit.name}",
                "scheduling_strategy": _strategy(self._placement.of(job.folder, unit.name)),
            }  # fmt: skip
            self._count += 1
            attempt = Attempt(units, unit, self._count, UnderWay(self._folder / job.folder).of(unit.cells))
            reference = self._remote.options(**options).remote(
                job, unit, self._place, self._mailbox, self._task, attempt.number, self._limits.memory_bytes
            )
            self._under_way[reference], self._references[attempt.number] = attempt, reference

    def _listen(self) -> None:
        """Hand on what workers said, and note what is said of attempts."""
        mail = self._listener.take()
        for message in mail.news:
            self._told(*message)
        for fact in mail.facts:
            if fact.attempt not in self._references:
                continue  # it has ended meanwhile
            attempt = self._under_way[self._references[fact.attempt]]
            attempt.node = fact.node
            self.nodes.add(fact.node)
            attempt.since = attempt.since or time.monotonic()
            if fact.memory:
                self._stop(attempt, large=self._limits.large(fact.memory))

    def _oversee(self) -> None:
        """End attempts that take too long, or for which there is no node any more."""
        now = time.monotonic()
        if self._limits.unit_minutes is not None:
            for attempt in self._under_way.values():
                if attempt.since is not None and now - attempt.since > self._limits.unit_minutes * 60:
                    self._stop(attempt, late=self._limits.late)
        waiting = [attempt for attempt in self._under_way.values() if attempt.since is None]
        if waiting and now - self._looked >= NODES:
            self._looked = now
            self._look_for_room(waiting, now)

    def _look_for_room(self, waiting: Sequence[Attempt], now: float) -> None:
        nodes = live_nodes(self._ray)
        budget = max(GONE_MINUTES, self._limits.node_minutes)
        for attempt in waiting:
            needs, name = attempt.unit.resources, f"{attempt.units.job.name} {attempt.unit.name}"
            if any(holds(node, needs) for node in nodes):
                attempt.lacking = None
            elif attempt.lacking is None:
                attempt.lacking = now
                self._tell(f"{lack({needs: [name]}, nodes)} any more; waiting {budget:g} min for one to come.")
            elif now - attempt.lacking > budget * 60:
                self._stop(attempt, roomless=f"{lack({needs: [name]}, nodes)} any more, for {budget:g} min.")

    def _stop(self, attempt: Attempt, *, late: str = "", large: str = "", roomless: str = "") -> None:
        """End an attempt, whatever it is doing; that it has ended is seen later."""
        if not attempt.stopped:
            attempt.late, attempt.large, attempt.roomless = late, large, roomless
            self._ray.cancel(self._references[attempt.number], force=True)

    def _end(self, reference: Any) -> JobUnits:
        """Take what became of a unit; return the units of its job."""
        attempt = self._under_way.pop(reference)
        del self._references[attempt.number]
        gone = self._ray.exceptions
        try:
            report: Report = self._ray.get(reference)
        except (gone.NodeDiedError, gone.LocalRayletDiedError, gone.ObjectLostError) as reason:
            self._deaths(attempt).restore(attempt.before)
            attempt.units.loses(attempt.unit, node=True, reason=_line(reason))
        except (gone.WorkerCrashedError, gone.OutOfMemoryError, gone.TaskCancelledError) as reason:
            self._died(attempt, reason, of_memory=isinstance(reason, gone.OutOfMemoryError))
        except gone.RayError as reason:
            attempt.units.end(attempt.unit, [], _line(reason))
        else:
            self._returned(attempt, report)
        return attempt.units

    def _died(self, attempt: Attempt, reason: BaseException, *, of_memory: bool) -> None:
        """A worker ended before its unit: by itself, by Ray for memory, or by the driver at a limit."""
        deaths, units, unit = self._deaths(attempt), attempt.units, attempt.unit
        if attempt.roomless:
            units.gives_up(unit, attempt.roomless)
            return
        self._placement.lost(units.job.folder, unit.name, attempt.node)
        if attempt.late:
            deaths.restore(attempt.before)  # whatever ran when time was up need not be what took it
        elif attempt.large or of_memory:
            deaths.of_memory(attempt.before)
        of_methods = deaths.of(unit.cells) != attempt.before
        memory = f"the memory of its node ran out: {_line(reason)}" if of_memory else ""
        why = attempt.late or attempt.large or memory or _line(reason)
        units.loses(unit, node=False, reason=why, counted=not of_methods)

    def _returned(self, attempt: Attempt, report: Report) -> None:
        units, unit = attempt.units, attempt.unit
        if report.fatal:
            raise ClusterError(report.error)
        if report.lost:
            self._placement.lost(units.job.folder, unit.name, report.node)
            units.loses(unit, node=False, reason=report.lost)
            return
        self.nodes.add(report.node)
        self._placement.ended(units.job.folder, report.node)
        if self._store is not None and not report.error:
            self._store.fetch(self._folder / units.job.folder, units.job.folder, unit.name)
        units.end(unit, report.failures, report.error)

    def _deaths(self, attempt: Attempt) -> UnderWay:
        return UnderWay(self._folder / attempt.units.job.folder)


def _strategy(wish: Wish) -> Any:
    """A wish in Ray's words: it may be passed over."""
    from ray.util import scheduling_strategies

    words: Any = scheduling_strategies  # In and NotIn are without annotations
    if wish.node:
        return words.NodeLabelSchedulingStrategy({}, soft={NODE_LABEL: words.In(wish.node)})
    if wish.avoid:
        return words.NodeLabelSchedulingStrategy({}, soft={NODE_LABEL: words.NotIn(*wish.avoid)})
    return "DEFAULT"


def _line(error: BaseException) -> str:
    """What Ray says, on one line."""
    return " ".join(str(error).split())
