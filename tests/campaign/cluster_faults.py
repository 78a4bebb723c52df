"""Fault campaign on a cluster: nodes, drivers and the way to a store die at random; results are those of one process.

Run it with ``tox -e cluster-faults``; it takes minutes and is no part of the tests. Every node is a raylet of one core
on this machine; for each one that is killed another one comes. A driver that is killed (SIGKILL) is started again by
the same command, and what it finds finished must be the same files when it has ended. ``--store`` lets results return
through an S3 server (moto, with s3fs) whose port closes and opens again; ``--storage`` lets studies lie in a PostgreSQL
server, in which no trial may be finished twice.

    python tests/campaign/cluster_faults.py --kills 20 --seed 0
    python tests/campaign/cluster_faults.py --suite texts --kills 20
    python tests/campaign/cluster_faults.py --suite small --drivers 10 --kills 0
    python tests/campaign/cluster_faults.py --suite small --drivers 3 --kills 3 --store
    python tests/campaign/cluster_faults.py --suite small --kills 3 --storage
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.run.executors.cluster.own_nodes import add_node, own_nodes  # noqa: E402
from foundation.words import plural  # noqa: E402
from tests.campaign.faults import TEXTS  # noqa: E402
from tests.campaign.object_store import ObjectStore  # noqa: E402
from tests.postgres import Postgres, running_server  # noqa: E402

COMPARED = ("results.csv", "groups.csv", "routing.csv", "levels.csv", "trials.csv", "thresholds.csv")

TABLES = """
name = "cluster"
tasks = ["scm@700"]
splits = 2
trials = 4
batch = 2
folds = 2
bag_folds = 2
families = ["mlp:utility", "mlp:result", "gbdt:utility"]
methods = ["mixture", "gate_dense", "uniform", "utility", "result", "gbdt_utility", "constant", "reweighing"]
budget = { steps = 120, eval_every = 40, warm_up = 40, rungs = [] }
"""
SMALL = """
name = "cluster"
tasks = ["scm@700"]
splits = 1
trials = 2
batch = 2
folds = 2
bag_folds = 2
families = ["mlp:utility", "mlp:result", "gbdt:utility"]
methods = ["utility", "result", "uniform", "constant", "reweighing"]
budget = { steps = 120, eval_every = 40, warm_up = 40, rungs = [] }
"""
SUITES = {"tables": TABLES, "small": SMALL, "texts": TEXTS}


@dataclass
class Bench:
    """Runs of one suite, as somebody types them in.

    Attributes
    ----------
    home : Path
        Where the suite file, outputs and all that is written besides lie.
    options : list of str
        Of runs on the cluster.
    settings : dict
        Of their environment.
    """

    home: Path
    options: list[str]
    settings: dict[str, str]

    def start(self, output: str, *options: str) -> subprocess.Popen[bytes]:
        """Start ``fairmoe bench``; what it says goes to a file beside its output."""
        code = "import sys; from benchmarks.cli import main; main()"
        call = [sys.executable, "-c", code, "bench", str(self.home / "suite.toml"), "--output", str(self.home / output)]
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        own = {"PYTHONPATH": path, "MLFLOW_TRACKING_URI": f"sqlite:///{self.home / 'runs.db'}"}
        with (self.home / f"{output}.log").open("ab") as log:
            return subprocess.Popen(
                [*call, "--strict", *options], cwd=self.home, env=os.environ | own | self.settings, stdout=log,
                stderr=log,
            )  # fmt: skip

    def on_cluster(self, output: str) -> subprocess.Popen[bytes]:
        """The same, on the cluster."""
        return self.start(output, "--executor", "ray", *self.options)

    def local(self) -> float:
        """Seconds of the run in one process that all others are compared with."""
        start = time.monotonic()
        self.ended(self.start("local", "--jobs", "1"), "local")
        return time.monotonic() - start

    def ended(self, process: subprocess.Popen[bytes], output: str) -> None:
        """Wait for a run that nobody disturbs any more."""
        code = process.wait()
        assert code == 0, (self.home / f"{output}.log").read_text(encoding="utf-8")[-4000:]

    def cells(self, output: str) -> dict[str, tuple[int, int]]:
        """Finished cells of a run with the inode and time of their records: who is computed again has others."""
        found = {}
        for path in (self.home / output / "jobs").glob("*/cells/*/cell.json"):
            facts = path.stat()
            found[path.parent.name] = facts.st_ino, facts.st_mtime_ns
        return found

    def differing(self, output: str) -> list[str]:
        """Tables of a run that differ from those of one process."""
        one, other = self.home / "local", self.home / output
        there = [name for name in COMPARED if (one / name).exists()]
        assert "results.csv" in there
        return [name for name in there if (one / name).read_bytes() != (other / name).read_bytes()]


@dataclass
class Plan:
    """What is killed in a run, at most, and how often it was."""

    kills: int
    drivers: int
    closings: int
    longest: float
    draw: random.Random

    def run(self, bench: Bench, made: Any, output: str, store: ObjectStore | None) -> tuple[int, int, int, int]:
        """A run until it has ended: nodes and drivers killed, closings of the store's port, cells that stood a kill."""
        killed = drivers = closings = 0
        kept: dict[str, tuple[int, int]] = {}
        process = bench.on_cluster(output)
        while True:
            faults = ["node"] * (killed < self.kills) + ["driver"] * (drivers < self.drivers)
            faults += ["store"] * (store is not None and closings < self.closings)
            if not faults or _ended(process, self.draw.uniform(0.1, self.longest)):
                break
            fault = self.draw.choice(faults)
            if fault == "node":
                made.remove_node(self.draw.choice(list(made.worker_nodes)), allow_graceful=False)
                add_node(made)
                killed += 1
            elif fault == "store":
                assert store is not None
                store.close_for(self.draw.uniform(1.0, 15.0))
                closings += 1
            else:
                process.send_signal(signal.SIGKILL)
                process.wait()
                drivers += 1
                kept |= bench.cells(output)
                process = bench.on_cluster(output)
        bench.ended(process, output)
        again = [cell for cell, facts in bench.cells(output).items() if cell in kept and kept[cell] != facts]
        assert not again, f"{output}: computed twice: {again}"
        differ = bench.differing(output)
        assert not differ, f"{output} differs in {differ}"
        return killed, drivers, closings, len(kept)


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def check_no_trial_was_finished_twice(database: Postgres, address: str) -> None:
    """Of each trial of a study one attempt alone may have been told."""
    told = "SELECT study_id, place FROM fairmoe_attempts WHERE row IS NOT NULL"
    found = database.execute(address, told)
    assert found and len(found) == len(set(found)), f"finished twice: {found}"


def campaign(given: argparse.Namespace, home: Path) -> None:
    """One run in one process, then runs on a cluster until so much has been killed."""
    (home / "suite.toml").write_text(SUITES[given.suite], encoding="utf-8")
    draw, left, runs = random.Random(given.seed), [given.kills, given.drivers, given.closings], 0
    local = Bench(home, [], {"FAIRMOE_HOME": str(home / "own")}).local()
    print(f"{given.suite}: one process: {local:.0f} s", flush=True)
    longest = given.longest or local / 4
    while any(count > 0 for count in left):
        with ExitStack() as stack:
            store = stack.enter_context(ObjectStore.started(home / f"store{runs}")) if given.store else None
            settings = {"FAIRMOE_HOME": str(home / "own")} | (store.settings if store else {})
            os.environ.update(settings)  # nodes hand theirs on to workers
            made = stack.enter_context(own_nodes(given.nodes))
            options = ["--address", made.address, *(["--store", f"{store.url}/run{runs}"] if store else [])]
            database = stack.enter_context(contextmanager(running_server)()) if given.storage else None
            address = database.database("studies") if database else ""
            options += ["--storage", address] if database else []
            start = time.monotonic()
            faults = Plan(left[0], left[1], left[2], longest, draw)
            done = faults.run(Bench(home, options, settings), made, f"run{runs}", store)
            if database:
                check_no_trial_was_finished_twice(database, address)
        left = [count - more for count, more in zip(left, done[:3], strict=True)]
        words = f"{plural(done[0], 'node')} and {plural(done[1], 'driver')} killed"
        words += f" ({plural(done[3], 'cell')} finished by then)" if done[1] else ""
        words += f", {plural(done[2], 'closing')} of the store" if given.store else ""
        print(f"run {runs}: {time.monotonic() - start:.0f} s, {words}, same bytes", flush=True)
        runs += 1
    print(
        f"{plural(given.kills, 'node')} and {plural(given.drivers, 'driver')} killed in {plural(runs, 'run')}: every "
        "table the same bytes as one process, and no finished cell was computed twice"
    )


def main() -> None:
    """Read the options and run the campaign."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=SUITES, default="tables", help="tables: 2 splits, with mixtures")
    parser.add_argument("--kills", type=int, default=20, help="of nodes")
    parser.add_argument("--drivers", type=int, default=0, help="kills of the driver")
    parser.add_argument("--store", action="store_true", help="results return through an S3 server (moto and s3fs)")
    parser.add_argument("--storage", action="store_true", help="studies lie in a PostgreSQL server")
    parser.add_argument("--closings", type=int, default=0, help="how often the store's port closes for 1 to 15 s")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument(
        "--longest", type=float, help="seconds between two faults, at most; default: a quarter of a run"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.closings and not given.store:
        parser.error("--closings closes the port of a store: give --store, too.")
    home = Path(tempfile.mkdtemp(prefix="cluster_faults_"))
    try:
        campaign(given, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
