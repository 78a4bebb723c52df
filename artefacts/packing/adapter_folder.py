"""Adapters of language models: a folder in PEFT's format, with or without our ``fairmoe.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artefacts.format.error import PackageError
from artefacts.packing.adapters import CONFIG, FACTS, WEIGHTS, adapters_of, base_of
from artefacts.packing.reading import facts_in
from artefacts.packing.source import Source
from artefacts.packing.told import name_of

README, CARD = "README.md", "card.md"


def adapter_folder(folder: Path) -> Source:
    """An adapter: its configuration, its weights, what we know of it, and its card.

    Raises
    ------
    PackageError
        ``file-missing``, ``json-...``; ``link-symbolic``.
    """
    names = [CONFIG, WEIGHTS, *([FACTS] if (folder / FACTS).exists() else [])]
    files = {name: folder / name for name in names}
    if (folder / README).exists():
        files[CARD] = folder / README
    links = [name for name, path in files.items() if path.is_symlink()]
    if links:
        raise PackageError("link-symbolic", f"{folder} holds the link {links[0]!a}; copy what it leads to.")
    return Source(files, _facts(folder))


def _facts(folder: Path) -> dict[str, Any]:
    (adapter,) = adapters_of(folder) if len(list(folder.rglob(CONFIG))) == 1 else _several(folder)
    base = base_of(folder)
    on = base["name"] if base else facts_in(folder / CONFIG).get("base_model_name_or_path") or "a base"
    found: dict[str, Any] = {
        "name": name_of(folder.resolve().name), "description": f"An adapter ({adapter['type']}) of {on}.",
        "licence": "not told", "kind": "adapter", "base": base, "adapters": [adapter],
    }  # fmt: skip
    return {name: value for name, value in found.items() if value}


def _several(folder: Path) -> list[dict[str, Any]]:
    raise PackageError("no-model", f"{folder} holds several adapters; pack the folder of one of them.")
