"""Which code determines which cells: hashes of whole rooms, plug-in files included; nothing is imported for it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from benchmarks.methods.baselines import ITEM as BASELINE
from benchmarks.methods.baselines import ROOM as BASELINE_ROOM
from foundation.discovery import ROOT, items, plugin_folders, room_sources

PLAN = ("__init__", "changed", "code", "environment", "job", "part_shares", "suite")
"""What a job is made of; estimates and dry runs only look at it. ``part_shares`` says how far a job is, ``changed``
what a suite is called whose settings are not its own."""

COMPUTING = (
    "foundation", "tasks", "metrics", "experts", "gates", "moe", "benchmarks/__init__.py", "benchmarks/cells",
    "benchmarks/methods", "benchmarks/run", "benchmarks/saving", *(f"benchmarks/plan/{name}.py" for name in PLAN),
)  # fmt: skip
"""Rooms that decide the numbers of every cell."""

TEXT = ("llm_experts",)
"""Rooms that decide those of text cells, too."""

BASELINES = BASELINE_ROOM.replace(".", "/")
"""Room whose public files decide the numbers of one method each; no other cell depends on them."""


def room_files(*rooms: str, without: str = "") -> dict[str, Path]:
    """Python files below rooms by their names in the hash, those of plug-in folders last; ``without`` is left out."""
    here = [(path.relative_to(ROOT).as_posix(), path) for room in rooms for path in _python(ROOT / room)]
    added = [(_name(path), path) for room in rooms for path in room_sources(room.replace("/", "."))]
    return {name: path for name, path in (*here, *added) if not (without and name.startswith(f"{without}/"))}


def source_hash(*names: str) -> str:
    """Hash of the sources of files or folders under the project's root."""
    return _digest(room_files(*names))


def computing_hash() -> str:
    """Hash of the code that turns a task into experts and scores; part of every job key."""
    return _rooms_hash(COMPUTING, plugin_folders())


def text_hash() -> str:
    """Hash of the code that text cells depend on beside that of every cell."""
    return _rooms_hash(TEXT, plugin_folders())


@cache
def _rooms_hash(rooms: tuple[str, ...], _plugins: tuple[Path, ...]) -> str:
    """Once per process and plug-in folders: jobs of one plan must agree on where cells go."""
    return _digest(room_files(*rooms, without=BASELINES))


def baseline_hash(name: str) -> str:
    """Hash of a baseline's own file and of the private files of its room."""
    path = items(BASELINE_ROOM, BASELINE)[name]
    place = path.parent if path.name == "__init__.py" else path  # one that needs several files is a folder
    own = {file.relative_to(place.parent).as_posix(): file for file in _python(place)}
    shared = {name: file for name, file in room_files(BASELINES).items() if name.startswith(f"{BASELINES}/_")}
    return _digest(own | shared)


def _python(place: Path) -> list[Path]:
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]


def _name(path: Path) -> str:
    """A plug-in file's name in hashes: where it lies in its folder, wherever that is."""
    folder = next(folder for folder in plugin_folders() if path.is_relative_to(folder))
    return path.relative_to(folder).as_posix()


def _digest(files: dict[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, path in files.items():
        digest.update(name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
