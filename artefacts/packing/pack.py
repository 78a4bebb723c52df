"""A folder as a ``.expert`` file: what kind of folder it is, its manifest, and the bytes."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artefacts.format.archive import open_package, pack
from artefacts.format.error import PackageError
from artefacts.format.files import MANIFEST
from artefacts.format.manifest import Manifest
from artefacts.format.writing import whole
from artefacts.packing.adapter_folder import adapter_folder
from artefacts.packing.adapters import CONFIG
from artefacts.packing.mixture_folder import is_mixture, mixture_folder
from artefacts.packing.model_folder import MODEL, model_folder
from artefacts.packing.reading import facts_in
from artefacts.packing.source import CARD, Source
from artefacts.packing.told import Told
from artefacts.packing.trained_folder import is_trained, trained_folder

LICENSE = "LICENSE"
CELL, DEPTH = "cell.json", 4
"""What a cell of a run says of itself, and how deep it lies: ``jobs/JOB/cells/CELL``."""


@dataclass(frozen=True)
class Packed:
    """A package that was made.

    Attributes
    ----------
    path : Path
    manifest : Manifest
    content, digest : str
        sha256 of the canonical manifest, and of the file.
    new : bool
        False: the file was there with this content, and was left as it is, signatures and all.
    warnings : tuple of str
        What whoever packed it must know before others have it.
    """

    path: Path
    manifest: Manifest
    content: str
    digest: str
    new: bool
    warnings: tuple[str, ...] = ()


def package(folder: Path, target: Path | None = None, told: Told | None = None) -> Packed:
    """Pack a saved model, a trained expert or an adapter; the same folder gives the same bytes, wherever and whenever.

    Parameters
    ----------
    folder : Path
        As ``fairmoe choose`` or ``save_model`` writes it (``model.json``), as ``fairmoe llm train`` writes experts
        (``expert.json`` and ``adapter``), as ``fairmoe discover`` hands mixtures on (``mixture.json``), or an adapter
        in PEFT's format.
    target : Path, optional
        The ``.expert`` file; default: ``NAME-VERSION.expert`` in the current folder.
    told : Told, optional
        What the folder does not say.

    Raises
    ------
    PackageError
        ``no-model``: neither of both; ``kind``: it cannot be read safely; ``wrong-base``: an adapter whose base is not
        known; ``exists``: the target has other content;
        or what :func:`artefacts.format.archive.pack` refuses. Nothing is written then.
    """
    told = told or Told()
    source = _source(folder, told)
    manifest = told.manifest(source.facts)
    target = target or Path(f"{manifest['name']}-{manifest['version']}.expert")
    with tempfile.TemporaryDirectory(prefix="fairmoe-packing-") as name:
        staged, made = Path(name) / "folder", Path(name) / "made.expert"
        _stage(source, staged, manifest, told)
        pack(staged, made)
        with open_package(made) as found:
            new = not _is_there(target, found.content)
            if new:
                with whole(target) as temporary:
                    shutil.copyfile(made, temporary)
        with open_package(target) as found:
            return Packed(target, found.manifest, found.content, found.digest, new, source.warnings)


def _source(folder: Path, told: Told) -> Source:
    if (folder / MODEL).is_file():
        return model_folder(folder)
    if is_mixture(folder):
        return mixture_folder(folder)
    if (folder / CONFIG).is_file():
        return adapter_folder(folder, told.base_hash, told.base_name)
    if is_trained(folder):
        return trained_folder(folder)
    if (folder / CELL).is_file():
        raise PackageError("no-model", _of_cell(folder))
    inside = next((path.parent for path in sorted(folder.glob(f"*/{CONFIG}"))), None)
    hint = f" It holds an adapter: {inside} can be packed, without what raw rows need." if inside is not None else ""
    raise PackageError(
        "no-model",
        f"{folder} is neither a saved model (it has no {MODEL}) nor an adapter in PEFT's format (it has no {CONFIG}). "
        "'fairmoe choose' writes a saved model, and 'fairmoe llm train' one that is called ..._model; save_model of "
        f"benchmarks.models does so in Python.{hint}",
    )


def _of_cell(folder: Path) -> str:
    """What to do with a cell of a run: its model is made again from it, checked against what is stored."""
    head = facts_in(folder / CELL).get("head")
    told = head if isinstance(head, dict) else {}
    words = {name: shlex.quote(str(told.get(name, name.upper()))) for name in ("task", "method", "split")}
    given = folder if len(folder.parts) > DEPTH else folder.resolve()
    run = shlex.quote(str(Path(*given.parts[:-DEPTH]) if len(given.parts) > DEPTH else "RUN"))
    return (
        f"{folder} is a cell of a run: it has predictions, and no model. The command makes that again and packs it: "
        f"fairmoe package {shlex.quote(str(folder))}. In Python make the model first: fairmoe choose {run} "
        f"--task {words['task']} --method {words['method']} --split {words['split']} --max-gap inf --output my_model"
    )


def _stage(source: Source, staged: Path, manifest: Mapping[str, Any], told: Told) -> None:
    for name, path in source.files.items():
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, staged / name)
    for name, text in source.texts.items():
        _write(staged / name, text)
    _write(staged / LICENSE, told.licence_text or _licence(manifest, source))
    if not (staged / CARD).exists():
        _write(staged / CARD, told.card or f"# {manifest['name']}\n\n{manifest['description']}\n")
    _write(staged / MANIFEST, json.dumps({**manifest, "files": {}}, allow_nan=False))


def _write(path: Path, text: str) -> None:
    path.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8", newline="\n")


def _licence(manifest: Mapping[str, Any], source: Source) -> str:
    return "\n\n".join((f"Licence of this expert: {manifest['licence']}", *source.rights))


def _is_there(target: Path, content: str) -> bool:
    """Whether the file is there with this content; its signatures may be others."""
    if not target.exists():
        return False
    with open_package(target) as old:
        if old.content == content:
            return True
        raise PackageError(
            "exists",
            f"{target} is there and holds {old.manifest.name} {old.manifest.version} with other content. Give another "
            "--version or --output, or move the file away.",
        )
