"""What the files of a finished cell hold, so that a cell that was copied or moved can be told from a damaged one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from foundation.files import write_json
from foundation.hashing import hash_file, hash_json

FILE = "files.json"
"""Beside the files that it tells of: path below the cell → sha256."""

RECEIPT = "mlflow.json"
"""Beside what was sent to a tracking store: where to, and as which run."""
LATER = frozenset({FILE, RECEIPT})
"""What is written when the rest is there already; receipts of the tracker are not the cell's own."""


def write_digests(folder: Path) -> None:
    """Note what a cell's files hold; the last thing that is written before the cell gets its name."""
    write_json(folder / FILE, {name: hash_file(folder / name) for name in cell_files(folder)})


def cell_files(folder: Path) -> list[str]:
    """Paths of a cell's files below it, but for those that say something of it (``LATER``); sorted."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(set(found) - LATER)


def damages(folder: Path) -> list[str]:
    """What is wrong with the files of a cell, one text each; empty for one that is as it was written."""
    path = folder / FILE
    if not path.is_file():
        return [f"{FILE} is missing"]
    try:
        noted: dict[str, str] = dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError:
        return [f"{FILE} is cut short"]
    here = cell_files(folder)
    found = [f"{name} is missing" for name in noted if name not in here]
    found += [f"{name} is not what was written" for name in here if name in noted and not _holds(folder, name, noted)]
    return found + [f"{name} was added" for name in here if name not in noted]


def content(folder: Path) -> str:
    """Hash of all that determines a cell's numbers: its files, without what it cost to compute them.

    Two computations of a cell have the same content. The files must be as they were written (:func:`damages`).
    """
    noted: dict[str, str] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    cell: dict[str, Any] = json.loads((folder / "cell.json").read_text(encoding="utf-8"))
    return hash_json([{k: v for k, v in noted.items() if k != "cell.json"}, {**cell, "cost": None}])


def _holds(folder: Path, name: str, noted: dict[str, str]) -> bool:
    return hash_file(folder / name) == noted[name]
