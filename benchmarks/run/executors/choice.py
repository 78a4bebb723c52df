"""The executor that a run asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.run.executors.executor import Executor
from benchmarks.run.executors.in_process import InProcess
from benchmarks.run.executors.processes import Processes

if TYPE_CHECKING:
    from benchmarks.plan.suite import Suite
    from benchmarks.plan.time_estimate import Clock


def make_executor(suite: Suite, workers: int, clock: Clock, tell: Callable[[str], None]) -> Executor:
    """Of this machine: in-process for one worker, a process pool for more; or of a Ray cluster.

    Parameters
    ----------
    suite : Suite
        Says which of them, and where.
    workers : int
    clock : Clock
        Estimates by which units of a cluster are put in order.
    tell : callable
        Called with a line for people, such as that a node of a cluster is awaited.
    """
    if suite.executor == "ray":
        from benchmarks.run.executors.cluster.executor import RayCluster
        from benchmarks.run.executors.cluster.limits import Limits

        limits = Limits(suite.unit_minutes, suite.unit_memory, suite.node_minutes)
        return RayCluster(suite.address, workers, suite.gpus, suite.store, clock, limits=limits, tell=tell)
    return InProcess() if workers == 1 else Processes(workers)
