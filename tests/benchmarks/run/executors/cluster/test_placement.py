"""Units run where their job's data are, not where they were lost; GPUs are shared, who asks for none sees none."""

from __future__ import annotations

import ast
import importlib.util
import os
import time
from pathlib import Path

import pytest

from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import LLMSettings, Suite
from benchmarks.run.executors.cluster.connection import ray_module
from benchmarks.run.executors.cluster.executor import RayCluster
from benchmarks.run.executors.cluster.own_nodes import own_nodes
from benchmarks.run.executors.cluster.placement import Placement, Wish
from benchmarks.run.executors.cluster.worker import Place, look
from benchmarks.run.failure import Failure
from benchmarks.run.telling.notify import Notify
from benchmarks.run.units import Unit
from foundation.files import write_text

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray (group cluster) is not installed")


def test_a_unit_wishes_the_node_of_its_job_and_not_those_where_it_was_lost() -> None:
    placement = Placement()
    assert placement.of("job", "a") == Wish()
    for node in ("x", "y", "y", ""):
        placement.ended("job", node)
    assert placement.of("job", "a") == Wish("y") and placement.of("other", "a") == Wish()
    placement.lost("job", "a", "y")
    assert placement.of("job", "a") == Wish("x") and placement.of("job", "b") == Wish("y")
    placement.lost("job", "a", "x")
    assert placement.of("job", "a") == Wish(avoid=("y", "x"))


def jobs(splits: int, text: bool = False) -> list[Job]:
    llm = LLMSettings(tasks=("scm",), methods=("llm_base",), splits=splits) if text else None
    suite = Suite(name="t", tasks=("scm",), splits=splits, methods=("constant", "reweighing"), llm=llm)
    return list(plan(suite, {"scm": "0" * 64}))


def where(job: Job, unit: Unit, place: Place, notify: Notify) -> list[Failure]:
    """A unit that notes its node."""
    import ray

    look(place)
    write_text(place.folder / f"{job.name} {unit.name}", ray.get_runtime_context().get_node_id())
    return []


@needs_ray
@pytest.mark.slow
def test_units_run_on_the_node_that_ran_their_job_before(tmp_path: Path) -> None:
    one, other = jobs(2)
    with own_nodes(2, num_cpus=3) as made:
        nodes = [node.node_id for node in made.worker_nodes]

        class Crossed(Placement):
            def __init__(self) -> None:
                super().__init__()
                for job, node in zip((one, other), nodes, strict=True):
                    for _ in range(100):
                        self.ended(job.folder, node)

        run = RayCluster("auto", 1, task=where, placement=Crossed).run([one, other], tmp_path, lambda *_: None)
        outcomes = list(run)
    assert len(outcomes) == 2 and not any(outcome.failures for outcome in outcomes)
    for job, node in zip((one, other), nodes, strict=True):
        ran = {path.read_text() for path in tmp_path.glob(f"{job.name} *")}
        assert ran == {node}


def on_gpu(job: Job, unit: Unit, place: Place, notify: Notify) -> list[Failure]:
    """A unit that notes which GPUs it sees; those of texts stay until four have been there at once."""
    look(place)
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    name = f"{job.name} {unit.name}"
    there = place.folder / "there"
    there.mkdir(exist_ok=True)
    if unit.name == "text_0":
        (there / name).touch()
        while not (place.folder / "four").exists():
            if len(list(there.iterdir())) >= 4:
                (place.folder / "four").touch()
            time.sleep(0.05)
        write_text(place.folder / f"count {name}", str(len(list(there.iterdir()))))
        (there / name).unlink()
    write_text(place.folder / f"sees {name}", repr(seen))
    return []


@needs_ray
@pytest.mark.slow
def test_text_units_share_gpus_and_others_see_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = jobs(5, text=True)
    ray = ray_module()
    ray.init(
        "local", num_cpus=5, num_gpus=2, include_dashboard=False, log_to_driver=False
    )  # claimed: there need be none
    try:
        outcomes = list(RayCluster("auto", 1, gpus=0.5, task=on_gpu).run(found, tmp_path, lambda *_: None))
    finally:
        ray.shutdown()
    assert len(outcomes) == len(found) and not any(outcome.failures for outcome in outcomes)
    counts = [int(path.read_text()) for path in tmp_path.glob("count *")]
    assert len(counts) == len(found) and max(counts) == 4  # two GPUs in halves
    seen = {(path.name.endswith("text_0"), ast.literal_eval(path.read_text())) for path in tmp_path.glob("sees *")}
    assert {device for text, device in seen if text} == {"0", "1"}
    assert {device for text, device in seen if not text} == {""}
