"""What a second node is worth: a suite without texts on a cluster of two nodes of one core, and of one.

Run with ``python -m benchmarks.speed.records.cluster_nodes``. Each round runs the suite on two nodes and on one, one
behind the other, on clusters of this machine; told are the ratio of their wall times and, for
a machine that others use too, the bound of how the units lay on the nodes: the CPU seconds of all units over those of
the node that had most. Goal: at least 1.8.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import Suite
from benchmarks.run.executors.cluster.executor import RayCluster
from benchmarks.run.executors.cluster.own_nodes import own_nodes
from benchmarks.run.executors.cluster.worker import Place, work
from foundation.files import write_json
from tasks.registry import resolve

if TYPE_CHECKING:
    from benchmarks.run.failure import Failure
    from benchmarks.run.telling.notify import Notify
    from benchmarks.run.units import Unit

METHODS = ("mixture", "gate_dense", "uniform", "utility", "result", "gbdt_utility", "constant", "reweighing")


def timed(job: Job, unit: Unit, place: Place, notify: Notify) -> list[Failure]:
    """A unit that notes its node and the CPU seconds that it took there."""
    import ray

    start = time.process_time()
    failures = work(job, unit, place, notify)
    facts = {"node": ray.get_runtime_context().get_node_id(), "seconds": time.process_time() - start}
    write_json(place.folder.parent / "clocks" / job.name / f"{unit.name}.json", facts)
    return failures


@dataclass(frozen=True)
class Taken:
    """What a run took.

    Attributes
    ----------
    wall : float
        Seconds.
    cpu : mapping of node → CPU seconds of its units
    """

    wall: float
    cpu: Counter[str]

    @property
    def bound(self) -> float:
        """How many times faster than one node the units can have been, as they lay."""
        return sum(self.cpu.values()) / max(self.cpu.values())


def run(many: list[Job], nodes: int) -> Taken:
    """The jobs on so many nodes, which are started before the clock; their workers start within it."""
    with own_nodes(nodes), tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        for outcome in RayCluster("auto", nodes, task=timed).run(many, Path(folder) / "jobs", lambda *_: None):
            if outcome.failures:
                raise RuntimeError(f"{outcome.job.name} failed: {outcome.failures[0].error}")
        wall = time.monotonic() - start
        cpu: Counter[str] = Counter()
        for path in (Path(folder) / "clocks").glob("*/*.json"):
            facts = json.loads(path.read_text(encoding="utf-8"))
            cpu[facts["node"]] += facts["seconds"]
    return Taken(wall, cpu)


def main() -> None:
    """Interleaved rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="scm@700")
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    suite = Suite(
        name="speed", tasks=(given.task,), splits=given.splits, trials=given.trials, batch=2, folds=2, bag_folds=2,
        families=("mlp:utility", "mlp:result", "gbdt:utility"), methods=METHODS,
        budget={"steps": given.steps, "eval_every": 40, "warm_up": 40, "rungs": []},
    )  # fmt: skip
    many = list(plan(suite, {given.task: resolve(given.task).card.hash}))
    taken = []
    for _ in range(given.rounds):
        two, one = run(many, 2), run(many, 1)
        taken.append((one.wall / two.wall, two.bound, sum(one.cpu.values()) / max(two.cpu.values())))
        print(
            f"one node {one.wall:.0f} s ({sum(one.cpu.values()):.0f} CPU s), two nodes {two.wall:.0f} s "
            f"({sum(two.cpu.values()):.0f} CPU s), {taken[-1][0]:.2f} times as fast; as the units lay, at most "
            f"{two.bound:.2f}",
            flush=True,
        )
    ratio, bound, work_ratio = (statistics.median(values) for values in zip(*taken, strict=True))
    print(
        f"two nodes of one core: {ratio:.2f} times as fast as one by wall time (median of {given.rounds}; goal: 1.8); "
        f"bound by the CPU seconds of units as they lay on the nodes {bound:.2f}; one node's CPU seconds over those of "
        f"the busier of two {work_ratio:.2f}"
    )


if __name__ == "__main__":
    main()
