"""The executor of a Ray cluster: what may start, what is started again, and that it ends as one process does."""

from __future__ import annotations

import builtins
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import Suite
from benchmarks.plan.time_estimate import Clock
from benchmarks.run.deaths import ATTEMPTS, UnderWay
from benchmarks.run.executors.cluster.connection import connected
from benchmarks.run.executors.cluster.error import ClusterError
from benchmarks.run.executors.cluster.executor import RayCluster
from benchmarks.run.executors.cluster.mailbox import Told
from benchmarks.run.executors.cluster.own_nodes import own_nodes
from benchmarks.run.executors.cluster.schedule import JobUnits, job_units, ranks
from benchmarks.run.executors.cluster.worker import SIGN, Place, attempted, look, work
from benchmarks.run.failure import Failure, explain
from benchmarks.run.telling.notify import Notify
from benchmarks.run.units import Unit
from foundation.files import write_text


def jobs(count: int = 1) -> list[Job]:
    methods = ("uniform", "utility", "constant", "reweighing")
    return list(plan(Suite(name="t", tasks=("scm",), splits=count, methods=methods), {"scm": "0" * 64}))


def started(units: JobUnits) -> list[Unit]:
    return list(units.ready())


def test_units_start_when_their_needs_have_ended() -> None:
    units = job_units(jobs()[0], jobs()[0].cells())
    (floor,) = started(units)
    assert floor.name == "tune_utility" and not started(units)
    units.end(floor, [])
    names = {unit.name for unit in started(units)}
    assert {"tune_result", "tune_procedural", "constant_0", "reweighing_0"} <= names
    assert "gates_0" not in names and not units.done


def test_a_lost_worker_is_given_its_attempts_and_takes_down_what_stands_on_it() -> None:
    units = job_units(jobs()[0], jobs()[0].cells())
    for _ in range(ATTEMPTS):
        (floor,) = started(units)
        units.loses(floor, node=False, reason="killed")
    assert not started(units) and units.done
    assert {failure.method for failure in units.failures} == set(jobs()[0].methods)
    assert any("tune_utility could not be computed" in failure.error for failure in units.failures)


def test_a_lost_node_is_nobodys_fault() -> None:
    units = job_units(jobs()[0], jobs()[0].cells())
    for _ in range(3 * ATTEMPTS):
        (floor,) = started(units)
        units.loses(floor, node=True, reason="gone")
    assert [unit.name for unit in started(units)] == ["tune_utility"] and not units.failures


def test_what_stands_on_a_dead_unit_is_dead_wherever_it_is_listed() -> None:
    chain = [Unit("cells", "c", ("b",)), Unit("cells", "b", ("a",)), Unit("cells", "a")]
    units = JobUnits(jobs()[0], chain)
    (first,) = started(units)
    for _ in range(ATTEMPTS - 1):
        units.loses(first, node=False, reason="killed")
        assert started(units) == [first]
    units.loses(first, node=False, reason="killed")
    assert not started(units) and units.done and units.dead == {"a", "b", "c"}


def test_the_longest_way_to_the_end_of_a_job_starts_first() -> None:
    one, other = (job_units(job, job.cells()) for job in jobs(2))
    order = ranks([one, other], Clock([]))
    assert sorted(order.values()) == list(range(len(one.waiting) + len(other.waiting)))
    for units in (one, other):
        for unit in units.waiting:
            rank = order[units.job.folder, unit.name]
            assert all(order[units.job.folder, before] < rank for before in unit.after)
    assert {name for (_, name), rank in order.items() if rank < 2} == {"tune_utility"}
    small = JobUnits(one.job, [Unit("cells", "constant_0", cells=(("constant", 0),)), one.waiting[0]])
    assert ranks([small], Clock([])) == {(one.job.folder, one.waiting[0].name): 0, (one.job.folder, "constant_0"): 1}


def test_shares_of_units_add_up_and_never_go_back() -> None:
    heard: list[tuple[str, str, float]] = []
    told = Told(lambda *message: heard.append(message))
    for unit, share in (("a", 0.25), ("b", 0.25), ("a", 0.0), ("b", 0.5)):
        told("job", unit, "stage", share)
    assert [share for _, _, share in heard] == [0.25, 0.5, 0.5, 0.75]


def test_deaths_of_a_lost_node_are_put_back(tmp_path: Path) -> None:
    notes = UnderWay(tmp_path)
    before = notes.of([("a", 0), ("b", 0)])
    child = os.fork()
    if not child:
        with notes.noted("a", 0):
            os._exit(1)
    os.waitpid(child, 0)
    assert notes.of([("a", 0), ("b", 0)]) == {("a", 0): 1, ("b", 0): 0}
    notes.restore(before)
    assert notes.deaths() == 0


def test_a_node_that_does_not_see_the_folder_or_has_other_code_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="does not see the output folder"):
        look(Place(tmp_path, "x"))
    (tmp_path / SIGN).write_text("of another run")
    with pytest.raises(ClusterError, match="all nodes share"):
        look(Place(tmp_path, "x"))
    other = next(plan(Suite(name="t", tasks=("scm",), splits=1, methods=("constant",)), {"scm": "0" * 64}))
    object.__setattr__(other, "code", "other")
    report = attempted(other, Unit("tune", "u"), Place(tmp_path, "x"), lambda *_: None, work)
    assert report.fatal and not report.failures and "another version of fairmoe" in report.error


def test_without_ray_one_paragraph_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name == "ray":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ClusterError, match="pip install --group cluster") as caught:
        list(RayCluster("local", 1).run(jobs(), tmp_path, lambda *_: None))
    assert explain(caught.value) is not None and not (tmp_path / SIGN).exists()


def mark(job: Job, unit: Unit, place: Place, notify: Notify) -> list[Failure]:
    """A unit that leaves a line for each time that it ran; one raises, one ends its worker, once or always."""
    look(place)
    folder = place.folder
    notify(job.name, unit.name, 0.1)
    with (folder / f"{job.name} {unit.name}").open("a") as file:
        file.write("x")
    tries = (folder / f"{job.name} {unit.name}").stat().st_size
    if (job.split, unit.name) == (0, "reweighing_0") or ((job.split, unit.name) == (1, "tune_utility") and tries == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if (job.split, unit.name) == (1, "constant_0"):
        raise ValueError("boom")
    return []


needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray (group cluster) is not installed")


@needs_ray
@pytest.mark.slow
def test_workers_that_die_are_replaced_and_what_always_dies_fails_alone(tmp_path: Path) -> None:
    heard: list[tuple[str, str, float]] = []
    run = RayCluster("local", 2, task=mark).run(jobs(2), tmp_path, lambda *message: heard.append(message))
    found = {outcome.job.split: outcome.failures for outcome in run}
    assert [(failure.method, failure.repeat) for failure in found[0]] == [("reweighing", 0)]
    assert f"was started {ATTEMPTS} times" in found[0][0].error
    assert [failure.method for failure in found[1]] == ["constant"] and "boom" in found[1][0].error
    ran = {path.name: path.stat().st_size for path in tmp_path.iterdir() if path.is_file()}
    assert ran.pop("scm_split0 reweighing_0") == ATTEMPTS and ran.pop("scm_split1 tune_utility") == 2
    assert set(ran.values()) == {1} and heard and not (tmp_path / SIGN).exists()


@needs_ray
@pytest.mark.slow
def test_no_cluster_at_the_address_is_one_paragraph() -> None:
    with pytest.raises(ClusterError, match="ray start --head"), connected("auto", 1):
        pass


@needs_ray
@pytest.mark.slow
def test_a_temporary_folder_with_too_long_a_name_is_one_paragraph(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("long" * 20)))
    with pytest.raises(ClusterError, match="Set RAY_TMPDIR"), connected("local", 1):
        pass


def stay(job: Job, unit: Unit, place: Place, notify: Notify) -> list[Failure]:
    """A unit whose first try is in the midst of a method when its node is killed."""
    import ray

    look(place)
    note = place.folder / unit.name
    if unit.name != "constant_0" or note.exists():
        note.with_suffix(".again").touch()
        return []
    with UnderWay(place.folder / job.folder).noted("constant", 0):
        write_text(note, ray.get_runtime_context().get_node_id())
        time.sleep(120)
    return []


@needs_ray
@pytest.mark.slow
def test_a_killed_node_is_told_from_a_crashed_worker_and_no_method_is_blamed(tmp_path: Path) -> None:
    with own_nodes(2) as made, ThreadPoolExecutor(1) as pool:
        run = pool.submit(lambda: list(RayCluster("auto", 1, task=stay).run(jobs(), tmp_path, lambda *_: None)))
        note = tmp_path / "constant_0"
        while not note.exists() and not run.done():
            time.sleep(0.1)
        (node,) = [node for node in made.worker_nodes if node.node_id == note.read_text()]
        made.remove_node(node, allow_graceful=False)
        (outcome,) = run.result()
    assert outcome.failures == () and note.with_suffix(".again").exists()
    assert UnderWay(tmp_path / jobs()[0].folder).deaths() == 0


@needs_ray
@pytest.mark.slow
def test_a_run_whose_nodes_and_driver_are_killed_ends_in_the_bytes_of_one_process(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[5]
    call = [sys.executable, "tests/campaign/cluster_faults.py", "--suite", "small", "--kills", "2", "--drivers", "1"]
    own = {"PYTHONPATH": str(root), "TMPDIR": str(tmp_path)}
    own["RAY_TMPDIR"] = tempfile.gettempdir()  # names of sockets have at most 107 bytes, and tmp_path may be long
    done = subprocess.run(call, cwd=root, env=os.environ | own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "2 nodes and 1 driver killed" in done.stdout
