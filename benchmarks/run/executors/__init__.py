"""Where jobs run: in this process, or in several processes of this machine."""

from benchmarks.run.executors.choice import make_executor
from benchmarks.run.executors.executor import Executor, Outcome

__all__ = ["Executor", "Outcome", "make_executor"]
