"""What placement saves: files that two nodes fetch from a store, with units on the nodes of their jobs and anywhere.

Run with ``python -m benchmarks.speed.records.cluster_fetches``. Units of tabular jobs make one small file each and
nothing else; each needs the files of all units of its job that were stored before. A count, which no other program on
the machine changes much.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import Suite
from benchmarks.run.executors.cluster.executor import RayCluster
from benchmarks.run.executors.cluster.own_nodes import own_nodes
from benchmarks.run.executors.cluster.placement import Placement, Wish
from benchmarks.run.executors.cluster.store import Store
from benchmarks.run.executors.cluster.stored_work import stored_work
from benchmarks.run.executors.cluster.worker import Place
from benchmarks.run.units import units_of
from benchmarks.speed.records.cluster_nodes import METHODS
from foundation.files import write_text

if TYPE_CHECKING:
    from benchmarks.run.failure import Failure
    from benchmarks.run.telling.notify import Notify
    from benchmarks.run.units import Unit


class Anywhere(Placement):
    """No wishes."""

    def of(self, job: str, unit: str) -> Wish:  # noqa: ARG002
        """None."""
        return Wish()


def one_file(job: Job, unit: Unit, folder: Path, notify: Notify) -> list[Failure]:  # noqa: ARG001
    """A unit that makes a file of its own."""
    write_text(folder / job.folder / "tune" / unit.name, f"{job.name} {unit.name}")
    return []


def counted(job: Job, unit: Unit, place: Place, notify: Notify) -> list[Failure]:
    """A unit whose node keeps what it fetched below the run's folder, where it is counted."""
    import ray

    node = place.folder.parent / "nodes" / ray.get_runtime_context().get_node_id()
    return stored_work(job, unit, node, place.store, notify, one_file)


def fetched(many: list[Job], placement: type[Placement]) -> tuple[int, int]:
    """Files that nodes fetched, and units."""
    with tempfile.TemporaryDirectory() as folder:
        url, jobs = f"file://{folder}/store", Path(folder) / "jobs"
        for _ in RayCluster("auto", 2, store=url, task=counted, placement=placement).run(many, jobs, lambda *_: None):
            pass
        held = len([path for path in (Path(folder) / "nodes").glob("*/files/*/*") if path.is_file()])
        made = sum(len(Store(url).units(job.folder)) for job in many)
    return held - made, made


def main() -> None:
    """Interleaved rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    many = list(plan(Suite(name="speed", tasks=("scm",), splits=given.splits, methods=METHODS), {"scm": "0" * 64}))
    units = sum(len(units_of(job, job.cells())) for job in many)
    with own_nodes(2):
        found = [(fetched(many, Placement)[0], fetched(many, Anywhere)[0]) for _ in range(given.rounds)]
    near, anywhere = (statistics.median(values) for values in zip(*found, strict=True))
    print(
        f"{units} units of {len(many)} jobs on two nodes of one core: {near:g} files fetched from the store with units"
    )
    print(f"near their jobs' files, {anywhere:g} with units anywhere (medians of {given.rounds} rounds: {found})")


if __name__ == "__main__":
    main()
