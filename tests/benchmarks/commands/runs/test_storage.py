"""``--storage``: studies of bench and tune in a database."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.plan.job import job_facts, plan
from benchmarks.run.runner import run_suite
from experts.tuning.shared import StorageError, check_server
from reports.table import read_core
from tasks.registry import resolve
from tests.benchmarks.conftest import tiny_suite
from tests.postgres import PASSWORD, running_server

ROOT = Path(__file__).resolve().parents[4]
ADDRESS = "postgresql://ann:secret-word-3@localhost:1/studies"


@pytest.fixture(scope="module")
def postgres():
    yield from running_server()


def fairmoe(*arguments):
    command = [sys.executable, "-c", "from benchmarks.cli import main; main()", *map(str, arguments)]
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def tune(address, output):
    return fairmoe(
        "tune", "--dataset", "scm@800", "--trials", 4, "--batch", 2, "--storage", address, "--output", output
    )


def holds(output, word):
    """Files of a folder in which a word stands."""
    return [path for path in output.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]


def test_where_studies_lie_is_in_no_key_and_no_record():
    cards = {"scm": resolve("scm").card.hash}
    here, there = tiny_suite(), tiny_suite(storage=ADDRESS)
    assert here.hash == there.hash
    (one,), (other,) = plan(here, cards), plan(there, cards)
    assert other.storage == ADDRESS
    assert one.key == other.key and one.cell_key("utility", 0) == other.cell_key("utility", 0)
    assert job_facts(one) == job_facts(other)
    for shown in (repr(there), repr(other), json.dumps(there.facts)):
        assert "secret-word-3" not in shown


@pytest.mark.parametrize("command", [("bench", "quick"), ("tune", "--dataset", "scm")])
@pytest.mark.parametrize(
    ("address", "words"),
    [
        (ADDRESS, "Check host and port"),
        ("file:///studies", "is no address of a database for studies"),
        ("postgresql://ann:secret-word-3@localhost:port/x", "is no address of a database for studies"),
    ],
)
def test_a_storage_that_cannot_be_used_is_one_paragraph_before_anything_is_computed(tmp_path, command, address, words):
    pytest.importorskip("psycopg")
    ran = fairmoe(*command, "--storage", address, "--output", tmp_path / "run")
    said, _ = ran.communicate()
    assert ran.returncode == 2
    assert len(said.strip().splitlines()) == 1 and words in said
    assert "secret-word-3" not in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("address", "driver"), [(ADDRESS, "psycopg"), ("mysql://ann@localhost/x", "pymysql")])
def test_a_missing_driver_is_named_with_its_group(monkeypatch, address, driver):
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(StorageError, match=f"driver {driver} .* is not installed") as caught:
        check_server(address)
    assert ("pip install --group postgres" in str(caught.value)) == (driver == "psycopg")


@pytest.mark.slow
def test_a_suite_has_the_same_tables_with_its_studies_in_a_database(tmp_path, postgres, quiet):
    address = postgres.database("suite")
    settings = {"methods": ("utility", "result", "gbdt_utility", "constant")}
    run_suite(tiny_suite(**settings), tmp_path / "files", workers=1, strict=True, console=quiet)
    run_suite(tiny_suite(storage=address, **settings), tmp_path / "database", workers=1, strict=True, console=quiet)
    for name in ("results.csv", "trials.csv", "levels.csv", "groups.csv", "suite.json"):
        assert (tmp_path / "files" / name).read_bytes() == (tmp_path / "database" / name).read_bytes(), name
    assert holds(tmp_path / "database", PASSWORD) == []
    assert len(postgres.execute(address, "SELECT * FROM studies")) == 3
    assert set(read_core(tmp_path / "database").provenance["order"]) == {""}

    postgres.execute(address, "UPDATE fairmoe_attempts SET driver = 'somebody else' WHERE place = 0")
    run_suite(tiny_suite(storage=address, **settings), tmp_path / "several", workers=1, strict=True, console=quiet)
    assert (tmp_path / "files" / "results.csv").read_bytes() == (tmp_path / "several" / "results.csv").read_bytes()
    marks = read_core(tmp_path / "several").provenance.set_index("method")["order"]
    assert set(marks) == {"not reproducible in order: 2 drivers asked for its trials"}  # this one began none
    assert json.loads((tmp_path / "several" / "suite.json").read_text())["unordered"] == [["scm", 0]]
    assert "> **NOT REPRODUCIBLE IN ORDER**: scm split 0: " in (tmp_path / "several" / "leaderboard.md").read_text()


def in_mid_run(postgres, address):
    """Whether some trials are finished, and others under way."""
    if postgres.execute(address, "SELECT to_regclass('fairmoe_attempts')") == [(None,)]:
        return False
    states = [state for (state,) in postgres.execute(address, "SELECT state FROM trials")]
    return "RUNNING" in states and len(states) > states.count("RUNNING")


@pytest.mark.slow
def test_a_driver_that_is_killed_and_one_that_takes_over_end_with_the_same_study(tmp_path, postgres):
    address = postgres.database("two")
    first = tune(address, tmp_path / "first")
    while first.poll() is None and not in_mid_run(postgres, address):
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    postgres.execute(address, "UPDATE trial_heartbeats SET heartbeat = heartbeat - interval '1 hour'")
    second = tune(address, tmp_path / "second")
    said, _ = second.communicate()
    assert second.returncode == 0, said
    assert "not reproducible in order: 2 drivers asked for its trials" in " ".join(said.split())
    assert PASSWORD not in said
    again = tune(address, tmp_path / "first")
    said, _ = again.communicate()
    assert again.returncode == 0, said
    results = [sorted((tmp_path / who).glob("jobs/*/tune/*_tuning_results.json")) for who in ("first", "second")]
    assert len(results[0]) == 3
    for one, other in zip(*results, strict=True):
        assert one.read_bytes() == other.read_bytes()
    for one in (tmp_path / "first").glob("jobs/*/tune/*_best.safetensors"):
        assert one.read_bytes() == (tmp_path / "second" / one.relative_to(tmp_path / "first")).read_bytes()
    told = postgres.execute(address, "SELECT study_id, count(*) FROM fairmoe_attempts WHERE row IS NOT NULL GROUP BY 1")
    assert [count for _, count in sorted(told)] == [4, 4, 4]
    assert holds(tmp_path / "second", PASSWORD) == []
