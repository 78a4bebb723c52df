"""Adapters of language models: a folder in PEFT's format, with or without our ``fairmoe.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

from artefacts.format.error import PackageError
from artefacts.packing.adapters import CONFIG, FACTS, WEIGHTS, adapters_of, base_of, scope_of
from artefacts.packing.fairness import examination_of
from artefacts.packing.reading import facts_in, optional
from artefacts.packing.source import Source, files_of
from artefacts.packing.told import name_of
from foundation.hashing import hash_file

EXAMINED = "examination.json"


def adapter_folder(folder: Path, base_hash: str = "", base_name: str = "") -> Source:
    """An adapter: its configuration, its weights, what we know of it, and its card.

    Parameters
    ----------
    folder : Path
    base_hash : str
        sha256 of the weights of the base, where no ``fairmoe.json`` tells it: one is written then, into the package.
    base_name : str
        What to call that base; empty: as the adapter's configuration does.

    Raises
    ------
    PackageError
        ``file-missing``, ``json-...``, ``link-symbolic``; ``wrong-base``: the base is not known, or is another one;
        ``kind``: no kind of adapter that fairmoe can run.
    """
    names = [CONFIG, WEIGHTS, *([FACTS] if (folder / FACTS).exists() else [])]
    files = files_of(folder, names)
    facts = _facts(folder, base_hash, base_name) | _measured(folder)
    texts = {} if FACTS in files else {FACTS: _told_of(folder, facts)}
    return Source(files, facts, texts=texts, warnings=_warnings(scope_of(optional(folder / FACTS))))


def _warnings(scope: str) -> tuple[str, ...]:
    """What an adapter without its model is good for, where it acts on a part of a text only."""
    if not scope:
        return ()
    return (
        f"The adapter was trained with scope {scope}: it acts on the question behind a row, so that chat, banks, "
        "'llm check' and other programs have no use for it alone. Pack the saved model (..._model), which "
        "fairmoe predict reads.",
    )


def _measured(folder: Path) -> dict[str, Any]:
    """What an examination measured, where one was promised."""
    told = optional(folder / EXAMINED)
    try:
        return {"fairness": examination_of(told)} if told else {}
    except (KeyError, TypeError, AttributeError) as error:
        raise PackageError(
            "no-model",
            f"{folder / EXAMINED} is not as fairmoe writes it ({type(error).__name__}: {error}); examine the expert "
            "again with --promise, or delete the file.",
        ) from error


def _facts(folder: Path, base_hash: str, base_name: str) -> dict[str, Any]:
    (adapter,) = adapters_of(folder) if len(list(folder.rglob(CONFIG))) == 1 else _several(folder)
    base = base_of(folder) or _foreign(folder, base_hash, base_name)
    if base_hash and base["sha256"] != base_hash:
        raise PackageError(
            "wrong-base", f"{folder} was trained on {base['name']} with the hash {base['sha256']}, not on {base_hash}."
        )
    return {
        "name": name_of(folder.resolve().name), "description": f"An adapter ({adapter['type']}) of {base['name']}.",
        "licence": "not told", "kind": "adapter", "base": base, "adapters": [adapter],
    }  # fmt: skip


def _foreign(folder: Path, base_hash: str, base_name: str) -> dict[str, Any]:
    """The base of an adapter that another program wrote: its name is told, its weights are not."""
    config = facts_in(folder / CONFIG)
    name = base_name or _base_name(str(config.get("base_model_name_or_path") or "a base without a name"))
    if not base_hash:
        raise PackageError(
            "wrong-base",
            f"{folder} has no {FACTS}: another program wrote it, and it does not say which weights of {name} it was "
            "trained on. Name the base with --base (a folder, or a name that is on this machine), or give the hash of "
            f"its weights with --base-hash (fairmoe llm base --base {name} shows it).",
        )
    if not re.fullmatch("[0-9a-f]{64}", base_hash):
        raise PackageError(
            "wrong-base",
            f"{base_hash[:80]!a} is no hash of a base: 64 digits 0-9 and a-f, as fairmoe llm base --base {name} "
            "shows them. --base FOLDER computes it.",
        )
    return {"name": name, "sha256": base_hash, "revision": config.get("revision")}


def _base_name(name: str) -> str:
    """Of a folder on its writer's machine the last part alone: nobody else has the others."""
    is_path = name.startswith(("/", ".", "~", "\\")) or PureWindowsPath(name).is_absolute()
    return PureWindowsPath(name).name or name if is_path else name


def _told_of(folder: Path, facts: Mapping[str, Any]) -> str:
    """What ``fairmoe.json`` says of an adapter that has none, so that it is read as any other."""
    base, (adapter,) = facts["base"], facts["adapters"]
    peft = facts_in(folder / CONFIG).get("peft_version")
    told = {
        "format": 1, "kind": adapter["type"], "base": {"id": base["name"], "hash": base["sha256"]},
        "libraries": {"peft": peft} if peft else {}, "facts": {},
        "sha256": {name: hash_file(folder / name) for name in (CONFIG, WEIGHTS)},
    }  # fmt: skip
    return json.dumps(told, sort_keys=True, indent=2)


def _several(folder: Path) -> list[dict[str, Any]]:
    raise PackageError("no-model", f"{folder} holds several adapters; pack the folder of one of them.")
