"""The executor of a Ray cluster: units of all jobs, started where there is room as soon as their needs have ended."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.methods.method import Needs
from benchmarks.plan.time_estimate import Clock
from benchmarks.run.executors.cluster.capacity import asked, lack, too_large
from benchmarks.run.executors.cluster.connection import connected
from benchmarks.run.executors.cluster.error import ClusterError
from benchmarks.run.executors.cluster.limits import UNLIMITED, Limits
from benchmarks.run.executors.cluster.mailbox import Told
from benchmarks.run.executors.cluster.placement import Placement
from benchmarks.run.executors.cluster.running import Running, live_nodes
from benchmarks.run.executors.cluster.schedule import JobUnits, job_units, ranks
from benchmarks.run.executors.cluster.scratch import clear_nodes, clear_scratch
from benchmarks.run.executors.cluster.store import Store
from benchmarks.run.executors.cluster.worker import SIGN, Place, work
from benchmarks.run.executors.executor import Outcome
from benchmarks.run.units import open_job
from foundation.files import write_text

if TYPE_CHECKING:
    from benchmarks.plan.job import Job
    from benchmarks.run.failure import Failure
    from benchmarks.run.telling.notify import Notify

LOOK = 2.0
"""Seconds between two looks at the nodes of a cluster that is to grow."""


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
    limits : Limits, optional
        What a unit may take; default: whatever it takes.
    placement : callable, optional
        Makes what says which nodes suit a unit.
    tell : callable, optional
        Called with a line for people, such as that a node is awaited or starts slowly.
    """

    def __init__(
        self,
        address: str,
        workers: int,
        gpus: float = 0.0,
        store: str = "",
        clock: Clock | None = None,
        task: Callable[..., list[Failure]] = work,
        *,
        limits: Limits = UNLIMITED,
        placement: Callable[[], Placement] = Placement,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.address, self.workers, self.store, self.task = address, workers, store, task
        self.clock, self.limits, self.tell, self.placement = clock or Clock([]), limits, tell, placement
        self.text, self.each = Needs(gpus=gpus), Needs(memory=limits.memory_bytes)

    def run(self, jobs: Sequence[Job], folder: Path, notify: Notify) -> Iterator[Outcome]:
        """See :class:`benchmarks.run.executors.executor.Executor`.

        Raises
        ------
        ClusterError
            If the cluster cannot be reached, a unit asks for what no node has, or a node cannot take part.
        """
        place = Place(folder.resolve(), uuid.uuid4().hex, self.store)
        store = Store(self.store) if self.store else None
        if store is not None:
            store.check(place.sign)
        write_text(place.folder / SIGN, place.sign)
        try:
            with connected(self.address, self.workers, self.tell) as ray:
                for job in jobs:
                    self._bring(store, job, place.folder)
                    open_job(job, place.folder)
                units = [job_units(job, job.unfinished(place.folder), self.text, self.each) for job in jobs]
                self._refuse_too_large(ray, units)
                order = ranks(units, self.clock)
                running = Running(
                    ray, place, store, Told(notify), self.task, order, self.limits, self.placement(), self.tell
                )
                yield from running.outcomes(units)
                if store is not None:
                    clear_nodes(ray, place.sign, running.nodes)
        finally:
            (place.folder / SIGN).unlink(missing_ok=True)
            clear_scratch(place.sign)

    def _refuse_too_large(self, ray: Any, units: Sequence[JobUnits]) -> None:
        """Refuse units that no node can hold, once a cluster that grows by itself has had its time for it."""
        names = [(f"{each.job.name} {unit.name}", unit.resources) for each in units for unit in each.waiting]
        large: Mapping[Needs, Sequence[str]] = too_large(names, live_nodes(ray))
        if large and self.limits.node_minutes:
            large = self._await(ray, names, large)
        if large:
            raise ClusterError(
                f"{lack(large, live_nodes(ray))}: it would wait for ever, so nothing was started. Start such a node, "
                "ask for less (--gpus, --unit-memory, resources of the method), leave the methods out, or, where the "
                "cluster grows by itself, give it time with --node-minutes. Then run the same command again."
            )

    def _await(
        self, ray: Any, names: Sequence[tuple[str, Needs]], large: Mapping[Needs, Sequence[str]]
    ) -> Mapping[Needs, Sequence[str]]:
        """Ask the cluster for nodes, and wait for them; return what still has none."""
        from ray.autoscaler.sdk import request_resources

        self.tell(f"{lack(large, live_nodes(ray))}; waiting {self.limits.node_minutes:g} min for one to come.")
        end = time.monotonic() + self.limits.node_minutes * 60
        request_resources(bundles=[asked(needs) for needs in large])
        try:
            while large and time.monotonic() < end:
                time.sleep(min(LOOK, max(end - time.monotonic(), 0.0)))
                large = too_large(names, live_nodes(ray))
        finally:
            request_resources(bundles=[])
        return large

    @staticmethod
    def _bring(store: Store | None, job: Job, folder: Path) -> None:
        """What an earlier driver did not fetch any more."""
        if store is not None:
            for unit in store.units(job.folder):
                store.fetch(folder / job.folder, job.folder, unit)
