"""One writer per output folder: a lock that ends with its process, however that ends.

The operating system holds the lock (``flock``), so that a killed process leaves none behind, and no path, clock or
process id can make a stale one look alive. The file beside it says who holds it, for the message.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

LOCK = ".lock"


class FolderLockError(RuntimeError):
    """Another process writes to a folder, or nobody can."""


@contextmanager
def folder_lock(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder for this process alone; it is made if absent.

    Parameters
    ----------
    folder : Path
        Relative or absolute; the lock is that of the folder, by whatever path it is reached.
    what : str
        What is done there, for the message that another process gets: ``fairmoe bench quick``.

    Raises
    ------
    FolderLockError
        If another process holds it, or the folder cannot be written; the text says who, since when and what to do.
    """
    path = folder / LOCK
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("a+", encoding="utf-8"))
            _acquire(file, path)
            _write(file, json.dumps(_owner(what)))
        except OSError as error:
            raise FolderLockError(
                f"The output folder {folder} cannot be written ({error.strerror}). Nothing was computed; give another "
                "one with --output, or make this one writable."
            ) from error
        stack.callback(file.truncate, 0)  # the file stays: whoever waits for its lock waits for this very file
        yield


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait until no other process is in the body with the same path, a file that is made if absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def turn_at(path: Path) -> Iterator[None]:
    """Wait until no other process is in the body with the same file, which the body may replace under its name.

    Nothing is left beside the file: the lock is that of the file itself, taken again if it was replaced meanwhile.

    Raises
    ------
    OSError
        If the file is absent or cannot be read.
    """
    while True:
        with open(path, "rb", opener=_unblocked) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if is_still(file, path):
                yield
                return


def _unblocked(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe without a writer is opened at once, too


def is_still(file: IO[bytes], path: Path) -> bool:
    """Whether an open file is the one that a path leads to now."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:  # between two names: it is there again, or opening it says that it is not
        return False


def _acquire(file: IO[str], path: Path) -> None:
    folder = path.parent
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = True
    except BlockingIOError:
        free = False
    except OSError:  # a file system without locks: the record alone must do
        free = not _runs_here(_read(file))
    owner = _read(file)
    if not free:
        raise FolderLockError(
            f"The output folder {folder} is in use by {_words(owner)}. Two runs would spoil each other's trials: "
            "wait until that one has ended or end its process, which frees the folder at once, or give another folder "
            "with --output."
        )
    if owner and owner.get("host") != platform.node():
        raise FolderLockError(
            f"The output folder {folder} was in use by {_words(owner)}, whose processes cannot be seen from here. "
            f"If that run has ended, delete {path} and start again; otherwise wait, or give another folder with "
            "--output."
        )


def _runs_here(owner: dict[str, Any]) -> bool:
    """Whether the owner is a process of this machine that has not ended."""
    pid = owner.get("pid")
    if owner.get("host") != platform.node() or not isinstance(pid, int) or pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _owner(what: str) -> dict[str, Any]:
    now = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return {"what": what, "pid": os.getpid(), "host": platform.node(), "since": now}


def _words(owner: dict[str, Any]) -> str:
    if not owner:  # it has just taken the lock
        return "another process"
    return f"'{owner.get('what')}' (process {owner.get('pid')} on {owner.get('host')}, since {owner.get('since')})"


def _read(file: IO[str]) -> dict[str, Any]:
    """Who wrote last; nobody, if the text is not whole."""
    file.seek(0)
    try:
        found = json.loads(file.read() or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: IO[str], text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()
