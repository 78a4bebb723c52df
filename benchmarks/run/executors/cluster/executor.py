"""The executor of a Ray cluster: units of all jobs, started where there is room as soon as their needs have ended."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.methods.method import MODEST, Needs
from benchmarks.plan.time_estimate import Clock
from benchmarks.run.deaths import UnderWay
from benchmarks.run.executors.cluster.connection import connected
from benchmarks.run.executors.cluster.error import ClusterError
from benchmarks.run.executors.cluster.schedule import JobUnits, job_units, ranks
from benchmarks.run.executors.cluster.store import Store
from benchmarks.run.executors.cluster.stored_work import clear_scratch
from benchmarks.run.executors.cluster.worker import SIGN, Place, attempted, work
from benchmarks.run.executors.executor import Outcome
from benchmarks.run.units import Unit, close_job, open_job
from foundation.files import write_text

if TYPE_CHECKING:
    from benchmarks.plan.job import Job
    from benchmarks.run.failure import Failure
    from benchmarks.run.telling.notify import Notify

POLL = 0.2
"""Seconds between two looks at the messages of workers."""
IN_FLIGHT = 2_000
"""Units that are handed to Ray at a time."""


class RayCluster:
    """Units of jobs on the nodes of a Ray cluster.

    Results lie in the output folder, which all nodes share, or return through a store; what Ray itself carries is a
    unit's name and its failures.
    A unit whose worker or node dies is started again elsewhere (``schedule``); what it had finished is not made again.

    Parameters
    ----------
    address : str
        See :func:`benchmarks.run.executors.cluster.connection.connected`.
    workers : int
        Cores of a cluster of its own.
    gpus : float
        GPUs, or a share of one, for each unit of texts.
    store : str
        URL through which results return where nodes do not share the output folder; "": they do.
    clock : Clock, optional
        Estimates by which units are put in order; default: built-in rates.
    task : callable
        What a worker does.
    """

    def __init__(
        self,
        address: str,
        workers: int,
        gpus: float = 0.0,
        store: str = "",
        clock: Clock | None = None,
        task: Callable[..., list[Failure]] = work,
    ) -> None:
        self.address, self.workers, self.store, self.task = address, workers, store, task
        self.clock = clock or Clock([])
        self.text = Needs(gpus=gpus) if gpus else MODEST

    def run(self, jobs: Sequence[Job], folder: Path, notify: Notify) -> Iterator[Outcome]:
        """See :class:`benchmarks.run.executors.executor.Executor`."""
        place = Place(folder.resolve(), uuid.uuid4().hex, self.store)
        store = Store(self.store) if self.store else None
        write_text(place.folder / SIGN, place.sign)
        try:
            with connected(self.address, self.workers) as ray:
                for job in jobs:
                    self._bring(store, job, place.folder)
                    open_job(job, place.folder)
                units = [job_units(job, job.unfinished(place.folder), self.text) for job in jobs]
                order = ranks(units, self.clock)
                yield from _Run(ray, place, store, Told(notify), self.task, order).outcomes(units)
        finally:
            (place.folder / SIGN).unlink(missing_ok=True)
            clear_scratch(place.sign)

    @staticmethod
    def _bring(store: Store | None, job: Job, folder: Path) -> None:
        """What an earlier driver did not fetch any more."""
        if store is not None:
            for unit in store.units(job.folder):
                store.fetch(folder / job.folder, job.folder, unit)


class Told:
    """Sums what the units of a job have done of it."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._shares: dict[str, dict[str, float]] = {}

    def __call__(self, job: str, unit: str, stage: str, share: float) -> None:
        """News of a unit."""
        own = self._shares.setdefault(job, {})
        own[unit] = max(share, own.get(unit, 0.0))
        self._notify(job, stage, min(sum(own.values()), 1.0))


class _Mailbox:
    """An actor beside the driver: workers leave messages, the driver takes them."""

    def __init__(self) -> None:
        self._messages: list[tuple[str, str, str, float]] = []

    def tell(self, *message: Any) -> None:
        self._messages.append(message)

    def take(self) -> list[tuple[str, str, str, float]]:
        found, self._messages = self._messages, []
        return found


def _in_worker(job: Job, unit: Unit, place: Place, mailbox: Any, task: Any) -> Any:
    def notify(name: str, stage: str, share: float) -> None:
        mailbox.tell.remote(name, unit.name, stage, share)

    return attempted(job, unit, place, notify, task)


class _Run:
    """One run on a connected cluster."""

    def __init__(
        self, ray: Any, place: Place, store: Store | None, told: Told, task: Any, order: Mapping[tuple[str, str], int]
    ) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._place, self._store, self._told, self._task = ray, place, store, told, task
        self._folder = place.folder
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._mailbox = ray.remote(num_cpus=0, scheduling_strategy=here, max_restarts=-1)(_Mailbox).remote()
        self._remote = ray.remote(max_retries=0)(_in_worker)
        self._under_way: dict[Any, tuple[JobUnits, Unit, dict[tuple[str, int], int]]] = {}
        self._news: Any = None
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
            }  # fmt: skip
            before = UnderWay(self._folder / job.folder).of(unit.cells)
            reference = self._remote.options(**options).remote(job, unit, self._place, self._mailbox, self._task)
            self._under_way[reference] = units, unit, before

    def _end(self, reference: Any) -> JobUnits:
        """Take what became of a unit; return the units of its job."""
        units, unit, before = self._under_way.pop(reference)
        gone = self._ray.exceptions
        try:
            failures, error, fatal = self._ray.get(reference)
        except (gone.NodeDiedError, gone.LocalRayletDiedError, gone.ObjectLostError) as reason:
            UnderWay(self._folder / units.job.folder).restore(before)
            units.loses(unit, node=True, reason=_line(reason))
        except (gone.WorkerCrashedError, gone.OutOfMemoryError) as reason:
            of_methods = UnderWay(self._folder / units.job.folder).of(unit.cells) != before
            units.loses(unit, node=False, reason=_line(reason), counted=not of_methods)
        except gone.RayError as reason:
            units.end(unit, [], _line(reason))
        else:
            if fatal:
                raise ClusterError(error)
            if self._store is not None and not error:
                self._store.fetch(self._folder / units.job.folder, units.job.folder, unit.name)
            units.end(unit, failures, error)
        return units

    def _listen(self) -> None:
        """Hand on what workers said; the mailbox may be gone for a while, and news with it."""
        if self._news is None:
            self._news = self._mailbox.take.remote()
        if not self._ray.wait([self._news], timeout=0)[0]:
            return
        try:
            messages = self._ray.get(self._news)
        except self._ray.exceptions.RayActorError:
            messages = []  # progress alone: what was done is in files
        self._news = None
        for message in messages:
            self._told(*message)


def _line(error: BaseException) -> str:
    """What Ray says, on one line."""
    return " ".join(str(error).split())
