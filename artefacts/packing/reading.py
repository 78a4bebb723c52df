"""Files of a folder that is packed, read without running anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from artefacts.format.error import PackageError
from artefacts.format.limits import LIMITS
from artefacts.format.strict_json import read_json

DESCRIPTION = "expert.json"
Facts = Mapping[str, Any]


def facts_in(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises
    ------
    PackageError
        ``file-missing``, ``unreadable``, ``json-...``: there is none, or it is damaged.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise PackageError("file-missing", f"There is no {path}.") from None
    except OSError as error:
        raise PackageError("unreadable", f"{path} cannot be read ({error.strerror}).") from None
    found = read_json(data, str(path), LIMITS.json)
    if not isinstance(found, dict):
        raise PackageError("json-syntax", f"{path} is no JSON object.")
    return found


def optional(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none."""
    return facts_in(path) if path.exists() else {}


def experts_in(folder: Path) -> Iterator[tuple[Path, Facts]]:
    """Each folder of an expert at or below ``folder``, and what it says of itself, outer ones first."""
    paths = (path for path in folder.rglob(DESCRIPTION) if path.is_file())
    for path in sorted(paths, key=lambda path: (len(path.parts), path)):
        yield path.parent, facts_in(path)


def tensor_names(path: Path) -> list[str]:
    """Names of the tensors in a safetensors file, by its header alone.

    Raises
    ------
    PackageError
        ``tensors-header``, ``json-...``: it is damaged, or no such file; ``unreadable``.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = file.read(length) if 2 <= length <= LIMITS.header else b""
    except OSError as error:
        raise PackageError("unreadable", f"{path} cannot be read ({error.strerror}).") from None
    found = read_json(header, f"{path}'s header", LIMITS.header) if header else None
    if not isinstance(found, dict):
        raise PackageError("tensors-header", f"{path} is damaged, or no safetensors file: it has no header.")
    return [name for name in found if name != "__metadata__"]
