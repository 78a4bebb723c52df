"""Where adapters lie in a folder: an adapter's own, a saved text expert, or what a package holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from artefacts.format.error import PackageError
from artefacts.format.files import MANIFEST
from artefacts.format.manifest import Manifest, parse_manifest
from artefacts.packing.adapters import CONFIG, FACTS


@dataclass(frozen=True)
class AdapterPlace:
    """A folder in PEFT's format, and what its package says of it.

    Attributes
    ----------
    folder : Path
    order : int
        ``load_order`` of its package: virtual tokens of several experts stand in this order.
    base_hash : str
        sha256 of the base of an adapter without ``fairmoe.json``, by the manifest; otherwise "".
    """

    folder: Path
    order: int = 0
    base_hash: str = ""


def adapter_sources(folder: Path, name: str | None = None) -> dict[str, Path]:
    """Folders of adapters at or below a folder, by name; see :func:`adapter_places`."""
    return {key: place.folder for key, place in adapter_places(folder, name).items()}


def adapter_places(folder: Path, name: str | None = None) -> dict[str, AdapterPlace]:
    """Adapters at or below a folder, by name.

    Parameters
    ----------
    folder : Path
        An adapter's, a saved expert's, or that of an installed package, with ``manifest.json``.
    name : str, optional
        Of the expert; default: its package's, else the folder's.

    Returns
    -------
    dict
        One adapter has the name of the expert, and so has one that lies in the folder itself; others have ``name/where
        they lie``. Empty for experts without any.

    Raises
    ------
    PackageError
        If the manifest is damaged, or there is no such folder (``no-model``).
    """
    if not folder.is_dir():
        raise PackageError("no-model", f"There is no folder {folder}.")
    manifest = manifest_in(folder)
    called = name or (manifest.name if manifest is not None else folder.resolve().name)
    found = [path.parent for path in sorted(folder.rglob(CONFIG)) if path.is_file()]
    if len(found) == 1:
        return {called: _place(found[0], manifest)}
    return {_called(called, place, folder): _place(place, manifest) for place in found}


def _called(name: str, place: Path, folder: Path) -> str:
    return name if place == folder else f"{name}/{place.relative_to(folder).as_posix()}"


def manifest_in(folder: Path) -> Manifest | None:
    """The manifest in a folder, if it is a package's."""
    path = folder / MANIFEST
    return parse_manifest(path.read_bytes()) if path.is_file() else None


def _place(folder: Path, manifest: Manifest | None) -> AdapterPlace:
    if manifest is None:
        return AdapterPlace(folder)
    base = None if (folder / FACTS).exists() else manifest.base
    if base is not None and base.rope_scaling:
        raise PackageError(
            "wrong-base",
            f"{manifest.name} was trained with a rope scaling, and its adapter is a plain PEFT folder, which cannot "
            "tell one; ask for a package whose adapter has a fairmoe.json.",
        )
    told = "" if base is None else base.sha256
    return AdapterPlace(folder, manifest.constraints.load_order, told)
