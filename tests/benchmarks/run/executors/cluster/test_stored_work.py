"""A unit on a node that shares nothing: what it makes is stored, beside others, after a death, with a store away."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.plan.job import Job, plan
from benchmarks.plan.suite import Suite
from benchmarks.run.executors.cluster.error import ClusterError, StoreAwayError
from benchmarks.run.executors.cluster.store import Store
from benchmarks.run.executors.cluster.stored_work import stored_work
from benchmarks.run.executors.cluster.worker import Place, attempted
from benchmarks.run.failure import Failure, explain
from benchmarks.run.telling.notify import Notify
from benchmarks.run.units import Unit
from foundation.files import write_text
from tests.campaign.object_store import ObjectStore

JOB: Job = next(plan(Suite(name="t", tasks=("scm",), splits=1, methods=("constant",)), {"scm": "0" * 64}))


def making(*names: str, within: Any = None, text: str = "") -> Any:
    """What a unit does that writes files of these names; ``within`` is called after the first."""

    def compute(job: Job, unit: Unit, folder: Path, notify: Notify) -> list[Failure]:
        for place, name in enumerate(names):
            write_text(folder / job.folder / name, text or f"{unit.name} {name}")
            if place == 0 and within is not None:
                within()
        return []

    return compute


def run(name: str, node: Path, url: str, compute: Any) -> None:
    assert stored_work(JOB, Unit("cells", name), node, url, lambda *_: None, compute) == []


def test_units_of_a_node_at_the_same_time_store_what_is_their_own(tmp_path: Path) -> None:
    url, node = f"file://{tmp_path}/store", tmp_path / "node"
    run("a", node, url, making("tune/a", "tune/a2", within=lambda: run("b", node, url, making("tune/b"))))
    store = Store(url)
    assert set(store._named(JOB.folder, "a")) == {"tune/a", "tune/a2"}
    assert set(store._named(JOB.folder, "b")) == {"tune/b"}


def test_a_unit_has_what_others_made_but_for_cells_and_reads_it_once_for_a_node(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store"
    run("a", tmp_path / "one", url, making("tune/a", "cells/c/cell.json"))
    seen: list[list[str]] = []

    def look(job: Job, unit: Unit, folder: Path, notify: Notify) -> list[Failure]:
        home = folder / job.folder
        seen.append(sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()))
        return []

    run("b", tmp_path / "other", url, look)
    blobs = [path for path in (tmp_path / "store" / "files").rglob("*") if path.is_file()]
    for path in blobs:
        path.unlink()  # whoever reads the store again finds nothing
    run("c", tmp_path / "other", url, look)
    run("d", tmp_path / "one", url, look)
    assert seen == [["tune/a"]] * 3
    with pytest.raises(ClusterError, match="is missing"):
        run("e", tmp_path / "third", url, look)


def test_a_unit_whose_worker_died_goes_on_in_its_folder_and_stores_that_alone(tmp_path: Path) -> None:
    url, node = f"file://{tmp_path}/store", tmp_path / "node"
    run("a", node, url, making("tune/a"))
    child = os.fork()
    if not child:
        try:
            run("b", node, url, making("tune/b", within=lambda: os._exit(0)))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    found: list[bool] = []

    def go_on(job: Job, unit: Unit, folder: Path, notify: Notify) -> list[Failure]:
        found.append((folder / job.folder / "tune/b").is_file())
        return []

    run("b", node, url, go_on)
    assert found == [True] and set(Store(url)._named(JOB.folder, "b")) == {"tune/b"}
    assert not (node / "units" / JOB.folder / "b").exists()


def test_a_store_that_comes_back_is_waited_for_and_one_that_does_not_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, root, aside = f"file://{tmp_path}/store", tmp_path / "store", tmp_path / "aside"
    run("a", tmp_path / "node", url, making("tune/a"))

    def away() -> None:
        root.rename(aside)
        root.write_text("a file where the folder was: an answer that says nothing of what is stored")

    def back(_: float) -> None:
        if aside.exists():
            root.unlink()
            aside.rename(root)

    away()
    monkeypatch.setattr("benchmarks.run.executors.cluster.store.time.sleep", back)
    assert Store(url).units(JOB.folder) == ["a"]
    away()
    with pytest.raises(StoreAwayError, match="did not answer for 0 min") as caught:
        Store(url, patience=0.0).units(JOB.folder)
    assert explain(caught.value) is not None

    def lose(*_: Any) -> list[Failure]:
        Store(url, patience=0.0).units(JOB.folder)
        return []

    report = attempted(JOB, Unit("cells", "a"), Place(tmp_path, "x"), lambda *_: None, lose)
    assert "did not answer" in report.lost and not report.error and not report.fatal
    with pytest.raises(ClusterError, match="cannot be written and read"):
        Store(url).check("sign")


def test_a_store_that_works_is_left_as_it_was(tmp_path: Path) -> None:
    store = Store(f"file://{tmp_path}/store")
    store.check("sign")
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file()]


@pytest.fixture
def s3fs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """s3fs, with keys, and without the connections of an earlier test: it keeps them for as long as a process lives."""
    found = pytest.importorskip("s3fs", reason="s3fs is not installed")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    found.S3FileSystem.clear_instance_cache()
    yield found
    found.S3FileSystem.clear_instance_cache()


@pytest.fixture
def server(s3fs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    pytest.importorskip("moto", reason="moto[server] is not installed")
    with ObjectStore.started(tmp_path / "s3") as found:
        for name, value in found.settings.items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.mark.slow
def test_an_s3_server_that_is_away_for_a_while_loses_nothing(server: ObjectStore, tmp_path: Path) -> None:
    url = f"{server.url}/run"
    Store(url).check("sign")
    run("a", tmp_path / "one", url, making("tune/a", within=lambda: server.close_for(3.0)))
    run("b", tmp_path / "two", url, making("tune/b"))
    home = tmp_path / "driver"
    for unit in Store(url).units(JOB.folder):
        Store(url).fetch(home, JOB.folder, unit)
    assert (home / "tune/a").read_text() == "a tune/a" and (home / "tune/b").read_text() == "b tune/b"


@pytest.mark.slow
def test_what_another_node_stores_is_seen_by_who_has_looked_before(
    server: ObjectStore, s3fs: Any, tmp_path: Path
) -> None:
    url = f"{server.url}/run"
    run("a", tmp_path / "one", url, making("tune/a"))
    s3fs.S3FileSystem.clear_instance_cache()  # the driver is another process than the nodes
    driver = Store(url)
    assert driver.units(JOB.folder) == ["a"]
    s3fs.S3FileSystem.clear_instance_cache()
    run("b", tmp_path / "two", url, making("tune/b"))
    assert driver.fetch(tmp_path / "driver", JOB.folder, "b") and driver.units(JOB.folder) == ["a", "b"]


@pytest.mark.slow
def test_an_s3_server_that_is_not_there_is_told_at_once(s3fs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))  # nobody listens
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{some.getsockname()[1]}")
        with pytest.raises(ClusterError, match="nothing was started"):
            Store("s3://runs/x").check("sign")
