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


def adapter_folder(folder: Path, base_hash: str = "") -> Source:
    """An adapter: its configuration, its weights, what we know of it, and its card.

    Parameters
    ----------
    folder : Path
    base_hash : str
        sha256 of the weights of the base, where no ``fairmoe.json`` tells it.

    Raises
    ------
    PackageError
        ``file-missing``, ``json-...``, ``link-symbolic``; ``wrong-base``: the base is not known, or is another one.
    """
    names = [CONFIG, WEIGHTS, *([FACTS] if (folder / FACTS).exists() else [])]
    files = {name: folder / name for name in names}
    if (folder / README).exists():
        files[CARD] = folder / README
    links = [name for name, path in files.items() if path.is_symlink()]
    if links:
        raise PackageError("link-symbolic", f"{folder} holds the link {links[0]!a}; copy what it leads to.")
    return Source(files, _facts(folder, base_hash))


def _facts(folder: Path, base_hash: str) -> dict[str, Any]:
    (adapter,) = adapters_of(folder) if len(list(folder.rglob(CONFIG))) == 1 else _several(folder)
    base = base_of(folder) or _foreign(folder, base_hash)
    if base_hash and base["sha256"] != base_hash:
        raise PackageError(
            "wrong-base", f"{folder} was trained on {base['name']} with the hash {base['sha256']}, not on {base_hash}."
        )
    return {
        "name": name_of(folder.resolve().name), "description": f"An adapter ({adapter['type']}) of {base['name']}.",
        "licence": "not told", "kind": "adapter", "base": base, "adapters": [adapter],
    }  # fmt: skip


def _foreign(folder: Path, base_hash: str) -> dict[str, Any]:
    """The base of an adapter that another program wrote: its name is told, its weights are not."""
    config = facts_in(folder / CONFIG)
    name = config.get("base_model_name_or_path") or "a base without a name"
    if not base_hash:
        raise PackageError(
            "wrong-base",
            f"{folder} has no {FACTS}: another program wrote it, and it does not say which weights of {name} it was "
            f"trained on. Give their hash with --base-hash ('fairmoe llm base {name}' shows it).",
        )
    return {"name": name, "sha256": base_hash, "revision": config.get("revision")}


def _several(folder: Path) -> list[dict[str, Any]]:
    raise PackageError("no-model", f"{folder} holds several adapters; pack the folder of one of them.")
