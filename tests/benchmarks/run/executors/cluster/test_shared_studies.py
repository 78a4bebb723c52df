"""Studies in a database while units run on a cluster, and those of text experts: the bytes of a run with files."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from reports.table import read_core
from tests.postgres import PASSWORD, Postgres, running_server

ROOT = Path(__file__).resolve().parents[5]
TABLES = ("results.csv", "trials.csv", "levels.csv")
TRIALS = 6
NETWORKS = """
name = "shared"
tasks = ["scm@700"]
splits = 1
trials = 6
batch = 2
folds = 2
bag_folds = 2
families = ["mlp:utility", "mlp:result", "gbdt:utility"]
methods = ["utility", "result", "gbdt_utility", "constant"]
budget = { steps = 200, eval_every = 40, warm_up = 40, rungs = [] }
"""
TEXTS = """
name = "texts"
tasks = ["scm@120"]
splits = 1
trials = 2
batch = 2
folds = 2
methods = ["constant"]
budget = { steps = 20, eval_every = 20, warm_up = 0, rungs = [] }

[llm]
tasks = ["scm@120"]
base = "nano"
methods = ["llm_utility"]
trials = 2
batch = 2
budget = { steps = 4, eval_every = 2, warm_up = 1 }
"""

pytestmark = pytest.mark.slow
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray (group cluster) is not installed")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    yield from running_server()


def bench(suite: Path, output: Path, *options: str) -> subprocess.Popen[bytes]:
    """``fairmoe bench`` as somebody types it in; what it says goes to a file beside its output."""
    code = "from benchmarks.cli import main; main()"
    call = [sys.executable, "-c", code, "bench", str(suite), "--output", str(output), "--strict", "--jobs", "1"]
    own = {"PYTHONPATH": str(ROOT), "RAY_TMPDIR": tempfile.gettempdir()}
    with output.with_suffix(".log").open("wb") as log:
        return subprocess.Popen([*call, *options], env=os.environ | own, stdout=log, stderr=log)


def ended(process: subprocess.Popen[bytes], output: Path) -> str:
    """Wait for a run; what it said."""
    code = process.wait()
    said = output.with_suffix(".log").read_text(encoding="utf-8")
    assert code == 0, said[-4000:]
    return said


def workers_below(pid: int, unit: str) -> list[psutil.Process]:
    """Ray's processes that run a unit, among the descendants of a process."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            title = " ".join(process.cmdline())
            if title.startswith("ray::") and unit in title:
                found.append(process)
    return found


def in_mid_study(postgres: Postgres, address: str) -> bool:
    """Whether a study has finished trials, and others under way."""
    if postgres.execute(address, "SELECT to_regclass('fairmoe_attempts')") == [(None,)]:
        return False
    told = [told for (told,) in postgres.execute(address, "SELECT row IS NOT NULL FROM fairmoe_attempts")]
    return any(told) and not all(told)


def check_the_same_tables(one: Path, other: Path) -> None:
    for name in TABLES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert set(read_core(other).provenance["order"].fillna("")) == {""}
    assert not [path for path in other.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]


def check_each_trial_was_made_once(postgres: Postgres, address: str, trials: int) -> None:
    attempts = postgres.execute(address, "SELECT study_id, place, row IS NOT NULL FROM fairmoe_attempts")
    studies = {study for study, _, _ in attempts}
    assert studies
    assert sorted(attempts) == [(study, place, True) for study in sorted(studies) for place in range(trials)]


@needs_ray
def test_a_cluster_with_a_database_ends_as_one_process_with_files_though_a_worker_is_killed(
    tmp_path: Path, postgres: Postgres
) -> None:
    suite, address = tmp_path / "suite.toml", postgres.database("cluster")
    suite.write_text(NETWORKS, encoding="utf-8")
    files, cluster = tmp_path / "files", tmp_path / "cluster"
    ended(bench(suite, files), files)
    run = bench(suite, cluster, "--executor", "ray", "--address", "local", "--storage", address)
    while run.poll() is None and not in_mid_study(postgres, address):
        time.sleep(0.02)
    killed = workers_below(run.pid, "tune_")
    assert killed
    for process in killed:
        process.kill()
    said = ended(run, cluster)
    assert PASSWORD not in said
    check_the_same_tables(files, cluster)
    check_each_trial_was_made_once(postgres, address, TRIALS)


def test_text_experts_with_a_database_end_as_with_files(tmp_path: Path, postgres: Postgres) -> None:
    suite, address = tmp_path / "suite.toml", postgres.database("texts")
    suite.write_text(TEXTS, encoding="utf-8")
    files, database = tmp_path / "files", tmp_path / "database"
    ended(bench(suite, files), files)
    ended(bench(suite, database, "--storage", address), database)
    check_the_same_tables(files, database)
    names = [name for (name,) in postgres.execute(address, "SELECT study_name FROM studies")]
    assert any("llm" in name for name in names), names
    check_each_trial_was_made_once(postgres, address, 2)
