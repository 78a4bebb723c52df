"""Limits of a unit's time and memory: it is ended whatever it does, tried elsewhere, then failed with the reason."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import Suite
from benchmarks.run.collect import failure_status
from benchmarks.run.deaths import ATTEMPTS, MethodDiedError, UnderWay
from benchmarks.run.executors.cluster.executor import RayCluster
from benchmarks.run.executors.cluster.limits import Limits, memory_watched, resident_bytes
from benchmarks.run.executors.cluster.own_nodes import own_nodes
from benchmarks.run.executors.cluster.schedule import job_units
from benchmarks.run.executors.cluster.worker import Place, look
from benchmarks.run.failure import Failure
from benchmarks.run.telling.notify import Notify
from benchmarks.run.units import Unit
from foundation.numbers import GIB

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray (group cluster) is not installed")


def job() -> Job:
    methods = ("uniform", "utility", "constant", "reweighing")
    return next(plan(Suite(name="t", tasks=("scm",), splits=1, methods=methods), {"scm": "0" * 64}))


def test_a_unit_that_is_late_makes_its_cells_timeouts_and_what_stands_on_it_says_why() -> None:
    units, limits = job_units(job(), job().cells()), Limits(unit_minutes=1.5)
    for _ in range(ATTEMPTS):
        (floor,) = list(units.ready())
        units.loses(floor, node=False, reason=limits.late)
    assert not list(units.ready()) and units.done
    assert {failure.method for failure in units.failures} == set(job().methods)
    for failure in units.failures:
        assert failure_status(failure.error) == "timeout" and "longer than 1.5 min (unit_minutes" in failure.error
        assert failure.error.startswith("tune_utility could not be computed")


def test_where_and_within_which_bounds_is_no_fact_of_a_suite() -> None:
    plain = Suite(name="t", tasks=("scm",))
    bounded = plain.model_copy(update={"unit_minutes": 1.0, "unit_memory": 2.0, "node_minutes": 3.0})
    assert plain.hash == bounded.hash and "unit_minutes" not in bounded.facts


def test_every_unit_asks_for_the_memory_that_it_may_take() -> None:
    executor = RayCluster("local", 1, limits=Limits(unit_memory=1.5))
    units = job_units(job(), job().cells(), each=executor.each)
    assert {unit.resources.memory for unit in units.waiting} == {3 * GIB // 2}
    assert {unit.resources.memory for unit in job_units(job(), job().cells()).waiting} == {0}


@pytest.mark.skipif(not resident_bytes(), reason="the system does not say a process's memory (no Linux)")
def test_the_watch_tells_once_of_too_much_memory_and_not_of_less() -> None:
    told: list[int] = []
    with memory_watched(resident_bytes() + GIB, told.append):
        time.sleep(0.5)
    assert not told
    with memory_watched(limit := resident_bytes() // 2, told.append):
        _until(lambda: bool(told))
    assert len(told) == 1 and told[0] > limit
    with memory_watched(0, told.append):
        pass
    assert len(told) == 1


def test_deaths_for_want_of_memory_are_told_from_others(tmp_path: Path) -> None:
    notes = UnderWay(tmp_path)
    for _ in range(ATTEMPTS - 1):
        before = notes.of([("a", 0), ("b", 0)])
        _die_within(notes, "a")
        notes.of_memory(before)
    with pytest.raises(MethodDiedError, match="more memory than the machine has"), notes.noted("a", 0):
        pass
    _die_within(notes, "b")
    _die_within(notes, "b")
    with pytest.raises(MethodDiedError, match="or a library ends the process"), notes.noted("b", 0):
        pass


def _die_within(notes: UnderWay, method: str) -> None:
    import os

    child = os.fork()
    if not child:
        with notes.noted(method, 0):
            os._exit(1)
    os.waitpid(child, 0)


def _until(reached: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not reached() and time.monotonic() < end:
        time.sleep(0.05)
    assert reached()


@contextmanager
def _marked(place: Place, unit: Unit) -> Iterator[None]:
    import ray

    look(place)
    with (place.folder / unit.name).open("a") as file:
        file.write(f"{ray.get_runtime_context().get_node_id()}\n")
    yield


def endless(job: Job, unit: Unit, place: Place, notify: Notify) -> list[Failure]:
    """A unit in a call into compiled code that holds the interpreter's lock: no signal and no thread can end it."""
    with _marked(place, unit):
        if unit.name == "constant_0":
            sum(range(1 << 62))
    return []


@needs_ray
@pytest.mark.slow
def test_a_unit_that_takes_too_long_is_ended_tried_elsewhere_and_fails_alone(tmp_path: Path) -> None:
    with own_nodes(2):
        run = RayCluster("auto", 1, task=endless, limits=Limits(unit_minutes=4 / 60))
        (outcome,) = run.run([job()], tmp_path, lambda *_: None)
    assert [failure.method for failure in outcome.failures] == ["constant"]
    assert failure_status(outcome.failures[0].error) == "timeout"
    nodes = (tmp_path / "constant_0").read_text().split()
    assert len(nodes) == ATTEMPTS and nodes[0] != nodes[1]
    assert len((tmp_path / "reweighing_0").read_text().split()) == 1


def greedy(job: Job, unit: Unit, place: Place, notify: Notify) -> list[Failure]:
    """A unit of which one method takes ever more memory."""
    failures: list[Failure] = []
    with _marked(place, unit):
        for method, repeat in unit.cells:
            try:
                with UnderWay(place.folder / job.folder).noted(method, repeat):
                    kept = []
                    while method == "constant":
                        kept.append(b"x" * (64 << 20))
                        time.sleep(0.1)
            except MethodDiedError as error:
                failures.append(Failure(method, repeat, str(error)))
    return failures


@needs_ray
@pytest.mark.slow
@pytest.mark.skipif(not resident_bytes(), reason="the system does not say a process's memory (no Linux)")
def test_a_method_that_takes_too_much_memory_fails_with_that_reason_and_the_others_finish(tmp_path: Path) -> None:
    run = RayCluster("local", 1, task=greedy, limits=Limits(unit_memory=1.0))
    (outcome,) = run.run([job()], tmp_path, lambda *_: None)
    assert [failure.method for failure in outcome.failures] == ["constant"]
    assert "it took more memory than" in outcome.failures[0].error and "unit_memory" in outcome.failures[0].error
    assert len((tmp_path / "constant_0").read_text().split()) == ATTEMPTS


def greedy_outside(job: Job, unit: Unit, place: Place, notify: Notify) -> list[Failure]:
    """A unit that takes ever more memory before any of its methods begins."""
    with _marked(place, unit):
        kept = []
        while unit.name == "constant_0":
            kept.append(b"x" * (64 << 20))
            time.sleep(0.1)
    return []


@needs_ray
@pytest.mark.slow
@pytest.mark.skipif(not resident_bytes(), reason="the system does not say a process's memory (no Linux)")
def test_a_unit_that_takes_too_much_memory_outside_of_methods_is_given_up(tmp_path: Path) -> None:
    run = RayCluster("local", 1, task=greedy_outside, limits=Limits(unit_memory=1.0))
    (outcome,) = run.run([job()], tmp_path, lambda *_: None)
    assert [failure.method for failure in outcome.failures] == ["constant"]
    assert "more than the 1 GiB that a unit may take" in outcome.failures[0].error
    assert failure_status(outcome.failures[0].error) == "failed"


def waits(job: Job, unit: Unit, place: Place, notify: Notify) -> list[Failure]:
    """A unit that is still there when somebody ends it."""
    with _marked(place, unit):
        time.sleep(600)
    return []


@needs_ray
@pytest.mark.slow
def test_a_unit_that_ray_ends_for_its_nodes_memory_fails_with_that_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")  # of the machine: whatever it does, it uses more
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    (outcome,) = RayCluster("local", 1, task=waits).run([job()], tmp_path, lambda *_: None)
    assert {failure.method for failure in outcome.failures} == set(job().methods)
    assert all("the memory of its node ran out" in failure.error for failure in outcome.failures)
