"""The store of a cluster: whole units, by hash, over a folder and over an object store."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.run.executors.cluster.error import ClusterError
from benchmarks.run.executors.cluster.store import Store
from benchmarks.run.executors.cluster.stored_work import files_of


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(f"file://{tmp_path}/store" if request.param == "file" else f"memory://{tmp_path.name}")


def made(home: Path, **files: str) -> Path:
    for name, text in files.items():
        path = home / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return home


def test_what_was_kept_comes_back(store: Store, tmp_path: Path) -> None:
    home = made(tmp_path / "a", tune__one="1", tune__two="2", cells__c="3")
    store.keep(home, files_of(home), "job", "u")
    assert store.units("job") == ["u"] and store.units("other") == []
    other = tmp_path / "b"
    assert set(store.fetch(other, "job", "u", lambda name: name.startswith("tune/"))) == {"tune/one", "tune/two"}
    assert (other / "tune/one").read_text() == "1" and not (other / "cells").exists()
    store.fetch(other, "job", "u")
    assert (other / "cells/c").read_text() == "3"


def test_the_same_bytes_are_stored_once_and_others_replace_a_file(store: Store, tmp_path: Path) -> None:
    home = made(tmp_path / "a", x="same", y="same")
    store.keep(home, files_of(home), "job", "u")
    blobs = [path for path in store._fs.find(f"{store._root}/files") if path]
    assert len(blobs) == 1
    other = made(tmp_path / "b", x="old")
    store.fetch(other, "job", "u")
    assert (other / "x").read_text() == "same"


def test_bytes_that_changed_in_the_store_are_refused(store: Store, tmp_path: Path) -> None:
    home = made(tmp_path / "a", x="good")
    store.keep(home, files_of(home), "job", "u")
    (blob,) = store._fs.find(f"{store._root}/files")
    store._fs.pipe_file(blob, b"bad")
    with pytest.raises(ClusterError, match="other bytes"):
        store.fetch(tmp_path / "b", "job", "u")
    assert not (tmp_path / "b" / "x").exists()
    store._fs.rm(blob)
    with pytest.raises(ClusterError, match="is missing"):
        store.fetch(tmp_path / "b", "job", "u")


def test_a_record_that_leads_out_of_the_job_is_refused(store: Store, tmp_path: Path) -> None:
    home = made(tmp_path / "a", x="good")
    store.keep(home, files_of(home), "job", "u")
    store._fs.pipe_file(f"{store._root}/units/job/u.json", b'{"../x": "0"}')
    with pytest.raises(ClusterError, match="outside of its job"):
        store.fetch(tmp_path / "b", "job", "u")


def test_a_protocol_that_nobody_knows_is_one_paragraph() -> None:
    with pytest.raises(ClusterError, match="fsspec"):
        Store("nowhere://bucket")
