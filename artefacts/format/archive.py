"""Packing a folder and opening a package."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from artefacts.format.content import Content, facts_of
from artefacts.format.error import PackageError
from artefacts.format.files import MANIFEST, SIGNATURE, check_distinct, check_file_name
from artefacts.format.limits import LIMITS, Limits
from artefacts.format.manifest import File, Manifest, manifest_of
from artefacts.format.package import Package
from artefacts.format.strict_json import read_json
from artefacts.format.tar import END, Entry, header, padding
from artefacts.format.writing import whole
from foundation.hashing import hash_file

__all__ = ["LIMITS", "Limits", "Package", "PackageError", "open_package", "pack", "rewrite"]


def open_package(path: Path, limits: Limits = LIMITS) -> Package:
    """Open a package: every header, name and size, and the manifest against them; file contents by ``.check()``.

    Raises
    ------
    PackageError
        With the reason (``docs/packages.md`` lists them); nothing has been written.
    """
    return Package(Path(path), limits)


def pack(folder: Path, target: Path, limits: Limits = LIMITS) -> str:
    """Make a package of a folder; the same files give the same bytes, wherever and whenever.

    Parameters
    ----------
    folder : Path
        With a ``manifest.json``, whose ``files`` are written anew, and every file that it is about. A
        ``signature.json`` is taken along as it is.
    target : Path
        The ``.expert`` file; it is whole or absent.
    limits : Limits

    Returns
    -------
    str
        sha256 of the target.

    Raises
    ------
    PackageError
        If the folder holds anything that would be refused in a package; nothing is written then.
    """
    names = _names(folder)
    facts = read_json(_bytes(folder, MANIFEST, limits.manifest), MANIFEST, limits.manifest, plain=True)
    if not isinstance(facts, dict):
        raise PackageError("manifest", f"{folder / MANIFEST} is no JSON object.")
    listed = {name: _facts(folder, name, limits).model_dump(exclude_defaults=True) for name in names}
    manifest = manifest_of({**facts, "files": listed})
    texts = {MANIFEST: manifest.canonical()}
    if (folder / SIGNATURE).is_file():
        texts[SIGNATURE] = _bytes(folder, SIGNATURE, limits.signature)
    with whole(target) as temporary:
        with temporary.open("xb") as stream:
            _write(stream, folder, manifest, texts)
        with open_package(temporary, limits) as package:
            package.check()
    return hash_file(target)


def rewrite(package: Package, target: Path, texts: Mapping[str, bytes]) -> str:
    """Write a package again with other small files, such as ``signature.json``; the listed files stay as they are.

    Returns
    -------
    str
        sha256 of the target, which may be the package's own path.
    """
    package.check()
    names = sorted({*package.names, *texts})
    with whole(target) as temporary:
        with temporary.open("xb") as stream:
            for name in names:
                data = texts.get(name)
                if data is None:
                    entry = package.entry(name)
                    _put(stream, name, entry.size, Content(package.file, entry).blocks())
                else:
                    _put(stream, name, len(data), iter((data,)))
            stream.write(END)
        with open_package(temporary) as written:
            written.check()
    return hash_file(target)


def _names(folder: Path) -> list[str]:
    """Files of a folder that the manifest lists, in order."""
    if not folder.is_dir():
        raise PackageError("unreadable", f"{folder} is no folder.")
    found: list[str] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise PackageError("link-symbolic", f"{folder} holds the link {name[:80]!a}; copy what it leads to.")
        if path.is_dir():
            continue
        if not path.is_file():
            raise PackageError("device", f"{folder} holds {name[:80]!a}, which is no plain file.")
        if name not in (MANIFEST, SIGNATURE):
            found.append(check_file_name(name))
    check_distinct(found)
    return sorted(found)


def _facts(folder: Path, name: str, limits: Limits) -> File:
    with _opened(folder / name) as (file, size):
        return facts_of(Content(file, Entry(name, 0, size)), limits)


def _bytes(folder: Path, name: str, most: int) -> bytes:
    if not (folder / name).is_file():
        raise PackageError("file-missing", f"{folder} has no {name}.")
    with _opened(folder / name) as (file, size):
        if size > most:
            raise PackageError("size-file", f"{name} has {size:,} bytes; at most {most:,} are allowed.")
        return Content(file, Entry(name, 0, size)).take(size)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int, int]]:
    with path.open("rb") as stream:
        yield stream.fileno(), os.fstat(stream.fileno()).st_size


def _write(stream: BinaryIO, folder: Path, manifest: Manifest, texts: Mapping[str, bytes]) -> None:
    for name in sorted({*manifest.files, *texts}):
        if name in texts:
            _put(stream, name, len(texts[name]), iter((texts[name],)))
        else:
            with _opened(folder / name) as (file, _):
                size = manifest.files[name].bytes
                _put(stream, name, size, Content(file, Entry(name, 0, size)).blocks())
    stream.write(END)


def _put(stream: BinaryIO, name: str, size: int, blocks: Iterator[bytes]) -> None:
    stream.write(header(name, size))
    for block in blocks:
        stream.write(block)
    stream.write(bytes(padding(size)))
