"""The executor that a run asks for."""

from __future__ import annotations

from benchmarks.run.executors.executor import Executor
from benchmarks.run.executors.in_process import InProcess
from benchmarks.run.executors.processes import Processes


def make_executor(
    workers: int, kind: str = "local", address: str = "auto", gpus: float = 0.0, store: str = ""
) -> Executor:
    """Of this machine: in-process for one worker, a process pool for more; or of a Ray cluster."""
    if kind == "ray":
        from benchmarks.run.executors.cluster.executor import RayCluster

        return RayCluster(address, workers, gpus, store)
    return InProcess() if workers == 1 else Processes(workers)
