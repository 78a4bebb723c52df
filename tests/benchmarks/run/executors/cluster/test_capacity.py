"""What no node can hold: refused before anything starts, awaited where a cluster grows, given up where a node died."""

from __future__ import annotations

import importlib.util
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.methods.method import MODEST, Needs
from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import LLMSettings, Suite, SuiteError, load_settings
from benchmarks.run.executors.cluster import running
from benchmarks.run.executors.cluster.capacity import asked, holds, lack, needs_text, too_large
from benchmarks.run.executors.cluster.error import ClusterError
from benchmarks.run.executors.cluster.executor import RayCluster
from benchmarks.run.executors.cluster.limits import Limits
from benchmarks.run.executors.cluster.own_nodes import add_node, own_nodes
from benchmarks.run.executors.cluster.worker import Place, look
from benchmarks.run.failure import Failure, explain
from benchmarks.run.telling.notify import Notify
from benchmarks.run.units import Unit
from foundation.files import write_text

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray (group cluster) is not installed")

SMALL, LARGE = {"CPU": 2.0, "memory": 4e9}, {"CPU": 8.0, "memory": 64e9, "GPU": 1.0, "fpga": 2.0}


def test_a_node_holds_what_it_has_and_no_more() -> None:
    assert holds(SMALL, MODEST) and holds(SMALL, Needs(cores=2.0)) and not holds(SMALL, Needs(cores=2.5))
    assert holds(LARGE, Needs(gpus=1.0, custom=(("fpga", 2.0),))) and not holds(LARGE, Needs(custom=(("fpga", 3.0),)))
    assert not holds(SMALL, Needs(memory=5_000_000_000)) and holds({}, Needs(cores=0.0)) and not holds({}, MODEST)


@given(st.floats(0, 4), st.integers(0, 10**10), st.floats(0, 4))
def test_what_a_node_is_made_for_it_holds(cores: float, memory: int, gpus: float) -> None:
    needs = Needs(cores, memory, gpus, (("x", 1.0),))
    assert holds(asked(needs), needs)
    assert not holds(asked(Needs(cores, memory, gpus)), needs)


def test_the_sentence_names_unit_wish_and_nodes() -> None:
    units = [("a text_0", Needs(gpus=2.0)), ("b text_0", Needs(gpus=2.0)), ("a constant_0", MODEST)]
    large = too_large(units, [SMALL, SMALL, LARGE])
    assert large == {Needs(gpus=2.0): ["a text_0", "b text_0"]}
    text = lack(large, [SMALL, SMALL, LARGE])
    assert text.startswith("a text_0 and b text_0 ask for 1 core, 2 GPU, and no node of the cluster has that (2 nodes")
    assert "1 node with 8 cores, 1 GPU" in text and "2 fpga" in text
    assert "there are no nodes" in lack(too_large(units, []), [])
    assert needs_text(Needs(memory=3 << 30)) == "1 core, 3.2 GB of memory"


def test_a_share_of_a_gpu_above_one_is_no_share() -> None:
    for gpus in (0.0, 0.5, 1.0, 3.0):
        assert load_settings("x", {"name": "t", "tasks": ["scm"], "gpus": gpus}).gpus == gpus
    with pytest.raises(SuiteError, match=r"gpus.*1\.5"):
        load_settings("x", {"name": "t", "tasks": ["scm"], "gpus": 1.5})


def jobs() -> list[Job]:
    llm = LLMSettings(tasks=("scm",), methods=("llm_base",))
    return list(plan(Suite(name="t", tasks=("scm",), splits=1, methods=("constant",), llm=llm), {"scm": "0" * 64}))


def mark(job: Job, unit: Unit, place: Place, notify: Notify) -> list[Failure]:
    """A unit that leaves a file; that of texts then stays, when it is told to."""
    import ray

    look(place)
    write_text(place.folder / unit.name, ray.get_runtime_context().get_node_id())
    while unit.name == "text_0" and (place.folder / "stay").exists():
        time.sleep(0.05)
    return []


def marks(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()} - {"stay"}


@needs_ray
@pytest.mark.slow
def test_what_no_node_can_hold_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with own_nodes(1), pytest.raises(ClusterError) as caught:
        list(RayCluster("auto", 1, gpus=1.0, task=mark).run(jobs(), tmp_path, lambda *_: None))
    told = explain(caught.value)
    assert told is not None and "scm_split0 text_0 asks for 1 core, 1 GPU" in told and "--node-minutes" in told
    assert not marks(tmp_path)


@needs_ray
@pytest.mark.slow
def test_a_node_that_comes_in_time_is_awaited(tmp_path: Path) -> None:
    lines: list[str] = []

    def start() -> list[tuple[Failure, ...]]:
        run = RayCluster("auto", 1, gpus=1.0, task=mark, limits=Limits(node_minutes=10.0), tell=tell)
        return [outcome.failures for outcome in run.run(jobs(), tmp_path, lambda *_: None)]

    def tell(line: str) -> None:
        lines.append(line)
        write_text(tmp_path / "told", line)

    with own_nodes(1) as made, ThreadPoolExecutor(1) as pool:
        run = pool.submit(start)
        while not (tmp_path / "told").exists() and not run.done():
            time.sleep(0.05)
        add_node(made, num_gpus=1)
        assert run.result() == [()]
    assert len(lines) == 1 and "waiting 10 min" in lines[0] and {"text_0", "constant_0"} <= marks(tmp_path)


@needs_ray
@pytest.mark.slow
def test_a_unit_whose_only_node_died_fails_when_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "GONE_MINUTES", 1 / 60)
    monkeypatch.setattr(running, "NODES", 0.5)
    (tmp_path / "stay").touch()
    lines: list[str] = []
    with own_nodes(1) as made, ThreadPoolExecutor(1) as pool:
        add_node(made, num_gpus=1)
        made.wait_for_nodes()
        executor = RayCluster("auto", 1, gpus=1.0, task=mark, tell=lines.append)
        run = pool.submit(lambda: list(executor.run(jobs(), tmp_path, lambda *_: None)))
        while not (tmp_path / "text_0").exists() and not run.done():
            time.sleep(0.05)
        (node,) = [node for node in made.worker_nodes if node.node_id == (tmp_path / "text_0").read_text()]
        made.remove_node(node, allow_graceful=False)
        (outcome,) = run.result()
    assert [failure.method for failure in outcome.failures] == ["llm_base"]
    assert "no node of the cluster has that" in outcome.failures[0].error and len(lines) == 1
    assert "constant_0" in marks(tmp_path)
