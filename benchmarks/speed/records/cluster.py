"""What Ray costs per stage: units that do nothing, on a running cluster of this machine.

Run with ``python -m benchmarks.speed.records.cluster``. Jobs of the tabular methods are cut into units; each unit looks
for the sign of the run, notes that it was there, and ends. The first round starts workers and imports; the rounds
behind it are timed. Goal: at most 50 ms a unit beyond its work.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import Suite
from benchmarks.run.executors.cluster.connection import LOCAL, connected
from benchmarks.run.executors.cluster.executor import RayCluster
from benchmarks.run.executors.cluster.worker import Place, look
from benchmarks.run.units import units_of
from foundation.words import plural

if TYPE_CHECKING:
    from benchmarks.run.failure import Failure
    from benchmarks.run.telling.notify import Notify
    from benchmarks.run.units import Unit


def nothing(job: Job, unit: Unit, place: Place, notify: Notify) -> list[Failure]:
    """A unit's way without its work."""
    look(place)
    notify(job.name, unit.name, 0.0)
    return []


def jobs(count: int) -> list[Job]:
    """Jobs of all methods on tables."""
    return list(plan(Suite(name="speed", tasks=("scm",), splits=count), {"scm": "0" * 64}))


def round_of(many: list[Job], folder: Path, workers: int) -> tuple[float, float]:
    """Wall seconds of all jobs' units, and CPU seconds of the driver."""
    start, own = time.monotonic(), time.process_time()
    for _ in RayCluster(LOCAL, workers, task=nothing).run(many, folder, lambda *_: None):
        pass
    return time.monotonic() - start, time.process_time() - own


def main() -> None:
    """Rounds on a cluster of this machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    many = jobs(given.splits)
    count = sum(len(units_of(job, job.cells())) for job in many)
    with connected(LOCAL, given.workers), tempfile.TemporaryDirectory() as folder:
        first, _ = round_of(many, Path(folder), given.workers)
        taken = [round_of(many, Path(folder), given.workers) for _ in range(given.rounds)]
    wall = sorted(each / count * 1e3 for each, _ in taken)
    driver = statistics.median(each / count * 1e3 for _, each in taken)
    print(f"{count} units that do nothing, {plural(given.workers, 'worker')}, first round {first:.1f} s")
    print(f"per unit: {statistics.median(wall):.1f} ms of wall time ({wall[0]:.1f} to {wall[-1]:.1f} in", end=" ")
    print(f"{given.rounds} rounds), {driver:.1f} ms of the driver's CPU (goal: at most 50 ms)")


if __name__ == "__main__":
    main()
