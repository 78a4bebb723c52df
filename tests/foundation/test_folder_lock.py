"""Two processes never write to one output folder; a killed one leaves no lock behind."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from foundation.folder_lock import LOCK, FolderLockError, folder_lock

HOLDER = """
import sys
from pathlib import Path
from foundation.folder_lock import folder_lock
with folder_lock(Path(sys.argv[1]), "fairmoe bench quick"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(folder: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a folder, given by a path relative to its own working directory."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder], cwd=cwd, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None and holder.stdin is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.stdin.close()


def refusal(folder: Path) -> str:
    """What is said when the folder cannot be had."""
    with pytest.raises(FolderLockError) as refused, folder_lock(folder, "me"):
        pass
    return str(refused.value)


def test_a_folder_in_use_is_refused_by_who_and_since_when(tmp_path: Path) -> None:
    with held("results/quick", tmp_path) as holder:
        text = refusal(tmp_path / "results" / "quick")
    assert f"'fairmoe bench quick' (process {holder.pid} on " in text and ", since 2" in text
    assert "end its process" in text and "\n" not in text


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    with held("results", tmp_path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with folder_lock(tmp_path / "results", "me"):
            assert json.loads((tmp_path / "results" / LOCK).read_text())["pid"] == os.getpid()


def test_a_folder_is_free_after_its_run_and_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="mine"), folder_lock(tmp_path, "me"):
            raise ValueError("mine")
    assert (tmp_path / LOCK).read_text() == ""


def test_a_run_of_another_machine_is_not_taken_for_dead(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text(json.dumps({"what": "fairmoe tune", "pid": 1, "host": "elsewhere", "since": "today"}))
    text = refusal(tmp_path)
    assert "on elsewhere, since today)" in text and f"delete {tmp_path / LOCK}" in text
    (tmp_path / LOCK).unlink()
    with folder_lock(tmp_path, "me"):
        pass


@pytest.mark.parametrize("text", ["{", "[]", "null"])
def test_a_torn_record_of_a_killed_process_is_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / LOCK).write_text(text)
    with folder_lock(tmp_path, "me"):
        pass


def test_a_folder_that_cannot_be_written_is_one_paragraph(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    text = refusal(tmp_path / "file" / "out")
    assert "file/out cannot be written (Not a directory)" in text and "--output" in text


def test_where_the_system_cannot_lock_a_running_process_is_known_by_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)  # no such file system can be mounted here
    with held("results", tmp_path) as holder:
        assert f"process {holder.pid} on" in refusal(tmp_path / "results")
        holder.kill()
        holder.wait()
        with folder_lock(tmp_path / "results", "me"):
            pass
