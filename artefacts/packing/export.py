"""The reverse of packing: what is in a package as plain folders, which other programs read; nobody is locked in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from artefacts.format.error import PackageError
from artefacts.format.files import TENSORS
from artefacts.format.limits import LIMITS
from artefacts.format.manifest import Manifest
from artefacts.format.strict_json import read_json
from artefacts.format.writing import whole
from artefacts.packing.adapters import CONFIG, FACTS, scope_of
from artefacts.packing.source import CARD, README

Form = Literal["model", "peft", "safetensors"]
FORMS: tuple[str, ...] = get_args(Form)
MODEL, LICENSE = "model.json", "LICENSE"


def export(manifest: Manifest, read: Callable[[str], bytes], form: str, folder: Path) -> tuple[str, ...]:
    """Write a package's files into a new folder, whole or not at all.

    Parameters
    ----------
    manifest : Manifest
    read : callable
        Bytes of a file of the package by its name, checked.
    form : {"model", "peft", "safetensors"}
        ``model``: a saved model, as it was packed; ``peft``: its adapters, each as PEFT reads it, one in the folder
        itself, several by their place; ``safetensors``: its weights alone.
    folder : Path

    Returns
    -------
    tuple of str
        What was written, in order.

    Raises
    ------
    PackageError
        ``exists``: the folder does; ``form``: the package has nothing of that form, there is no such form, or PEFT
        would make another model of it (``--scope suffix``).
    """
    names = _chosen(manifest, form)
    if not names:
        raise PackageError(
            "form", f"{manifest.name} {manifest.version} ({manifest.kind}) holds nothing that can be written as {form}."
        )
    if form == "peft":
        _check_whole(manifest, read)
    if folder.exists() or folder.is_symlink():
        raise PackageError("exists", f"{folder} exists already; give a folder that does not.")
    rights = {README: CARD, LICENSE: LICENSE}
    names = {**names, **{new: old for new, old in rights.items() if old in manifest.files}}
    with whole(folder) as temporary:
        for new, old in names.items():
            path = temporary / new
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(read(old))
    return tuple(sorted(names))


def _chosen(manifest: Manifest, form: str) -> Mapping[str, str]:
    """Name in the folder to name in the package."""
    if form == "model":
        return {name: name for name in manifest.files if name != CARD} if MODEL in manifest.files else {}
    if form == "safetensors":
        return {name: name for name in manifest.files if name.endswith(TENSORS)}
    if form == "peft":
        return _adapters(manifest)
    raise PackageError("form", f"There is no form {form[:40]!a}; there is {', '.join(FORMS)}.")


def _check_whole(manifest: Manifest, read: Callable[[str], bytes]) -> None:
    """Raise :class:`PackageError` for adapters that other programs would let act on more than they were trained for."""
    facts = (str(PurePosixPath(adapter.path).parent / FACTS) for adapter in manifest.adapters)
    for name in (name for name in facts if name in manifest.files):
        told = read_json(read(name), name, LIMITS.json)
        if scope := scope_of(told if isinstance(told, dict) else {}):
            raise PackageError(
                "form",
                f"{manifest.name} {manifest.version}: the adapter of {name} was trained with scope {scope} and acts on "
                "the question behind a row. PEFT would let it act on the whole text, which is another model than the "
                "one that was measured. Export it as model, or train it with --scope full.",
            )


def _adapters(manifest: Manifest) -> dict[str, str]:
    places = [PurePosixPath(adapter.path).parent for adapter in manifest.adapters]
    found: dict[str, str] = {}
    for place, adapter in zip(places, manifest.adapters, strict=True):
        inside = [str(place / name) for name in (CONFIG, FACTS) if str(place / name) in manifest.files]
        for old in (*inside, adapter.path):
            found[old if len(places) > 1 else PurePosixPath(old).name] = old
    return found
