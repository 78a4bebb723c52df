"""Fault campaign on a cluster: nodes of a Ray cluster are killed at random instants; results are those of one process.

Run it with ``tox -e cluster-faults``; it takes minutes and is no part of the tests. Every node is a raylet of one core
on this machine; for each one that is killed another one comes.

    python tests/campaign/cluster_faults.py --kills 20 --seed 0
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.plan.suite import Suite  # noqa: E402
from foundation.console import plain_console  # noqa: E402

STORE = 80 << 20
COMPARED = ("results.csv", "groups.csv", "routing.csv", "levels.csv", "trials.csv", "thresholds.csv")

SUITE = Suite(
    name="cluster", tasks=("scm@700",), splits=2, trials=4, batch=2, folds=2, bag_folds=2,
    families=("mlp:utility", "mlp:result", "gbdt:utility"),
    methods=("mixture", "gate_dense", "uniform", "utility", "result", "gbdt_utility", "constant", "reweighing"),
    budget={"steps": 120, "eval_every": 40, "warm_up": 40, "rungs": []},
)  # fmt: skip

SMALL = SUITE.model_copy(
    update={"splits": 1, "trials": 2, "methods": ("utility", "result", "uniform", "constant", "reweighing")}
)


@contextmanager
def cluster(nodes: int, **each: Any) -> Iterator[Any]:
    """Ray, connected to a head without cores and nodes of one core each; ``each``: what they have besides."""
    from benchmarks.run.executors.cluster.connection import ray_module

    ray = ray_module()
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
    made: Any = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes):
            add_node(made, **each)
        ray.init(address=made.address, log_to_driver=False, configure_logging=False)
        made.wait_for_nodes(timeout=120)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def kill_nodes(made: Any, kills: int, longest: float, draw: random.Random, run: Future[float]) -> int:
    """Kill a node at random instants, and let another one come, until the number is reached or the run has ended.

    In the main thread, which alone may start Ray's nodes.
    """
    killed = 0
    while killed < kills and not wait([run], timeout=draw.uniform(0.1, longest)).done:
        made.remove_node(draw.choice(list(made.worker_nodes)), allow_graceful=False)
        killed += 1
        add_node(made)
    return killed


def add_node(made: Any, tries: int = 5, **has: Any) -> None:
    """Let a node come; on a busy machine Ray may give up on one that starts too slowly, and another one comes."""
    for left in reversed(range(tries)):
        try:
            made.add_node(**{"num_cpus": 1, "object_store_memory": STORE, "wait": False} | has)
        except Exception as error:  # Ray raises a bare one
            if not left or "timed out during startup" not in str(error):
                raise
            print("a node did not start within Ray's 30 s; another one comes", flush=True)
        else:
            return


def bench(suite: Suite, folder: Path, executor: str) -> float:
    """Seconds of a run of a suite."""
    from benchmarks.run.runner import run_suite

    start = time.monotonic()
    where = suite.model_copy(update={"executor": executor})
    summary = run_suite(where, folder, workers=1, strict=True, console=plain_console())
    assert summary.ok, summary.failures
    return time.monotonic() - start


def same(one: Path, other: Path) -> list[str]:
    """Tables that differ."""
    there = [name for name in COMPARED if (one / name).exists()]
    assert "results.csv" in there
    return [name for name in there if (one / name).read_bytes() != (other / name).read_bytes()]


def main() -> None:
    """One run in this process, then runs on a cluster until so many nodes have been killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--longest", type=float, default=15.0, help="seconds between two kills, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="a suite of one job")
    given = parser.parse_args()
    suite = SMALL if given.small else SUITE
    draw, killed, runs = random.Random(given.seed), 0, 0
    home = Path(tempfile.mkdtemp(prefix="cluster_faults_"))
    try:
        local = bench(suite, home / "local", "local")
        print(f"one process: {local:.0f} s", flush=True)
        while killed < given.kills:
            folder = home / f"run{runs}"
            with cluster(given.nodes) as made, ThreadPoolExecutor(1) as pool:
                run = pool.submit(bench, suite, folder, "ray")
                now = kill_nodes(made, given.kills - killed, given.longest, draw, run)
                took = run.result()
            differ = same(home / "local", folder)
            assert not differ, f"run {runs} differs in {differ}"
            killed, runs = killed + now, runs + 1
            print(f"run {runs}: {took:.0f} s, {now} nodes killed, same bytes", flush=True)
        print(f"{killed} nodes killed in {runs} runs: every table the same bytes as one process")
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
