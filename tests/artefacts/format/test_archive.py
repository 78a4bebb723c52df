"""Packing and opening."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from artefacts.format.archive import PackageError, open_package, pack
from artefacts.format.tar import header
from tests.artefacts.making import FILES, folder_of, forged, packed


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    first = packed(tmp_path / "a.expert").read_bytes()
    folder = folder_of(tmp_path / "elsewhere", dict(reversed(FILES.items())))
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    digest = pack(folder, tmp_path / "b.expert")
    assert (tmp_path / "b.expert").read_bytes() == first == forged()
    assert digest == hashlib.sha256(first).hexdigest()


def test_what_was_extracted_packs_to_the_same_bytes(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.expert")
    with open_package(path) as package:
        package.extract(tmp_path / "out")
        assert package.read("card.md") == FILES["card.md"]
        assert package.digest == pack(tmp_path / "out", tmp_path / "b.expert")
        assert package.names == tuple(sorted([*FILES, "manifest.json"]))
    assert (tmp_path / "b.expert").read_bytes() == path.read_bytes()


def test_tar_reads_it(tmp_path: Path) -> None:
    long = {"/".join(["b" * 60] * 2) + "/c.txt": b"long", "d.txt": b"", "e.txt": b"x" * 512}
    path = packed(tmp_path / "a.expert", {**FILES, **long})
    with tarfile.open(path, "r:") as archive:
        assert archive.getnames() == sorted([*FILES, *long, "manifest.json"])
        for name, data in long.items():
            member = archive.extractfile(name)
            assert member is not None
            assert member.read() == data
    done = subprocess.run(["tar", "-tf", path], capture_output=True, text=True, check=True)
    assert (done.stdout.split(), done.stderr) == (sorted([*FILES, *long, "manifest.json"]), "")


def test_the_header_is_that_of_tarfile() -> None:
    info = tarfile.TarInfo("expert/weights.safetensors")
    info.size = 12_345
    theirs = info.tobuf(tarfile.USTAR_FORMAT)
    ours = header(info.name, info.size)
    assert ours == theirs


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"])
def test_tensors_of_every_kind_are_counted(dtype: str, tmp_path: Path) -> None:
    weights = save({"w": np.ones((3, 5), dtype), "none": np.zeros((0, 4), dtype), "one": np.array(1, dtype)})
    with open_package(packed(tmp_path / "a.expert", {"w.safetensors": weights})) as package:
        package.check()
        told = package.manifest.files["w.safetensors"].tensors
    assert told is not None
    assert sum(told.values()) == 16


def test_tensors_beyond_a_block_are_looked_at_to_the_last_number(tmp_path: Path) -> None:
    values = np.zeros(700_001, np.float32)
    packed(tmp_path / "a.expert", {"w.safetensors": save({"w": values, "a": np.ones(3, np.float16)})})
    values[-1] = np.inf
    with pytest.raises(PackageError, match=r"\[not-a-number\]"):
        packed(tmp_path / "b.expert", {"w.safetensors": save({"w": values, "a": np.ones(3, np.float16)})})


@pytest.mark.parametrize(
    ("reason", "name"), [("file-type", "model.pkl"), ("file-name", "a\nb.txt"), ("file-type", "run.py")]
)
def test_a_folder_with_what_would_be_refused_is_not_packed(reason: str, name: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "folder", {**FILES, name: b"x"})
    with pytest.raises(PackageError) as error:
        pack(folder, tmp_path / "a.expert")
    assert error.value.reason == reason
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_link_is_not_packed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "folder")
    (folder / "more.txt").symlink_to("/etc/hostname")
    with pytest.raises(PackageError, match=r"\[link-symbolic\]"):
        pack(folder, tmp_path / "a.expert")


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with open_package(packed(tmp_path / "a.expert")) as package, pytest.raises(PackageError, match=r"\[exists\]"):
        package.extract(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_target_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "folder")
    (tmp_path / "a.expert").mkdir()
    with pytest.raises(PackageError, match=r"\[unwritable\]"):
        pack(folder, tmp_path / "a.expert")
    with open_package(packed(tmp_path / "b.expert")) as package, pytest.raises(PackageError, match=r"\[unwritable\]"):
        package.extract(tmp_path / "b.expert" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.expert", "b.expert", "b.folder", "folder"]
    assert list((tmp_path / "a.expert").iterdir()) == []
