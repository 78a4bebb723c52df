"""Rooms whose files are found, not listed: an item is one file that defines one name, such as ``GATE`` or ``METHOD``.

An item that needs several files is a folder of its name, whose ``__init__.py`` defines it.

A plug-in folder is laid out like the project: ``FAIRMOE_PLUGINS=/my/folder`` and ``/my/folder/gates/my_gate.py`` join
that file to the room ``gates``. Files are looked through without being imported, because importing a model library
takes seconds; what is literal in a definition can be read in the same way.
"""

from __future__ import annotations

import ast
import importlib
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

PLUGINS = "FAIRMOE_PLUGINS"
"""Environment variable that names plug-in folders, separated like those of ``PATH``."""

ROOT = Path(__file__).resolve().parent.parent


class DiscoveryError(ValueError):
    """A plug-in folder or file that cannot be used as it is."""


def plugin_folders() -> tuple[Path, ...]:
    """The plug-in folders of ``FAIRMOE_PLUGINS``.

    Raises
    ------
    DiscoveryError
        If one of them is not a folder.
    """
    given = os.environ.get(PLUGINS)
    if not given:  # asked for hundreds of thousands of times in a plan of many jobs
        return ()
    named = [Path(part).expanduser().resolve() for part in given.split(os.pathsep) if part]
    for folder in named:
        if not folder.is_dir():
            raise DiscoveryError(f"{PLUGINS} names {folder}, which is no folder. Correct the variable, or unset it.")
    return tuple(named)


def items(room: str, name: str) -> dict[str, Path]:
    """Files of a room that define ``name``, by the stem of the file (or the folder's name), sorted; plug-ins come last.

    Parameters
    ----------
    room : str
        Dotted package, such as ``benchmarks.methods.baselines``.
    name : str
        What an item defines at the top level of its file.

    Raises
    ------
    DiscoveryError
        If a plug-in has the name of a file that is there already, or is not valid Python.
    """
    found: dict[str, Path] = {}
    own = _files(ROOT, room)
    for base in (ROOT, *plugin_folders()):
        for item, path in _files(base, room).items():
            if item in found or (base != ROOT and item in own):
                raise DiscoveryError(f"{path}: the room {room} has a file {path.name} already. Rename the plug-in.")
            if _definition(path, name) is not None:
                found[item] = path
    return found


def _files(base: Path, room: str) -> dict[str, Path]:
    """Files that may define an item, by its name, sorted: ``item.py`` and ``item/__init__.py``."""
    folder = base.joinpath(*room.split("."))
    files = {path.stem: path for path in folder.glob("*.py") if path.stem != "__init__"}
    folders = {path.parent.name: path for path in folder.glob("*/__init__.py")}
    return dict(sorted((files | folders).items()))


def facts(path: Path, name: str) -> dict[str, Any]:
    """Keywords of the call that a file assigns to ``name``, those that are literals; nothing is imported.

    ``METHOD = Baseline(label="LightGBM", graph=False, fit=fit)`` gives ``{"label": "LightGBM", "graph": False}``.
    """
    value = _definition(path, name)
    if not isinstance(value, ast.Call):
        return {}
    literal = {}
    for keyword in value.keywords:
        try:
            literal[str(keyword.arg)] = ast.literal_eval(keyword.value)
        except ValueError:  # a name or a call: only an import could tell
            continue
    return literal


def load(room: str, name: str, item: str) -> Any:
    """What an item's file defines as ``name``; the file is imported only now.

    Raises
    ------
    DiscoveryError
        If the room has no such item.
    """
    found = items(room, name)
    if item not in found:
        raise DiscoveryError(f"There is no {item!r} in {room}. Known: {', '.join(found)}.")
    _join(room)
    return getattr(importlib.import_module(f"{room}.{item}"), name)


def room_sources(room: str) -> tuple[Path, ...]:
    """Python files of plug-in folders below a room or folder, for keys that hash all code that may run."""
    return tuple(path for base in plugin_folders() for path in sorted(base.joinpath(*room.split(".")).rglob("*.py")))


def _join(room: str) -> None:
    """Let a package find the files of plug-in folders."""
    package = importlib.import_module(room)
    for folder in plugin_folders():
        place = str(folder.joinpath(*room.split(".")))
        if place not in package.__path__ and Path(place).is_dir():
            package.__path__.append(place)
            importlib.invalidate_caches()
            sys.path_importer_cache.pop(place, None)


def _definition(path: Path, name: str) -> ast.expr | None:
    """What a file assigns to ``name`` at its top level."""
    return _definitions(path, path.stat().st_mtime_ns).get(name)


@cache
def _definitions(path: Path, _changed: int) -> dict[str, ast.expr]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    except SyntaxError as error:
        raise DiscoveryError(f"{path} is not valid Python: {error}. Mend it and run again.") from error
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            found |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found[node.target.id] = node.value
    return found
