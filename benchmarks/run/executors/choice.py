"""The executor that a run asks for."""

from __future__ import annotations

from benchmarks.run.executors.executor import Executor
from benchmarks.run.executors.in_process import InProcess
from benchmarks.run.executors.processes import Processes


def make_executor(workers: int) -> Executor:
    """In-process for one worker, a process pool for more."""
    return InProcess() if workers == 1 else Processes(workers)
