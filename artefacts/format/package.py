"""An open package: its manifest, its files, and the checks of what is in them."""

from __future__ import annotations

import hashlib
import os
import stat
import weakref
from functools import cached_property
from pathlib import Path

from artefacts.format.content import Content, check_content
from artefacts.format.error import PackageError
from artefacts.format.files import MANIFEST, SIGNATURE
from artefacts.format.limits import Limits
from artefacts.format.manifest import Manifest, parse_manifest
from artefacts.format.tar import Entry, read_headers
from artefacts.format.writing import whole


class Package:
    """A package whose archive and manifest have been checked; made by :func:`artefacts.format.archive.open_package`.

    It holds the file open, so what was checked is what is read, whatever happens to the path; it is closed by
    :meth:`close`, a ``with`` statement, or when nobody holds it.

    Attributes
    ----------
    path : Path
    file : int
        The open file's descriptor.
    manifest : Manifest
    content : str
        sha256 of the canonical manifest, which holds the hash of every other file: the name of *what* is packed,
        whoever signed it.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self._limits = limits
        self.file = _open(path)
        self.close = weakref.finalize(self, os.close, self.file)
        self._entries = self._headers()
        data = self._small(MANIFEST, limits.manifest)
        self.manifest: Manifest = parse_manifest(data)
        if self.manifest.canonical() != data:
            raise PackageError("manifest-canonical", f"{MANIFEST} is not in canonical form (RFC 8785).")
        self.content = hashlib.sha256(data).hexdigest()
        self._check_listed()
        self._checked = False

    def __enter__(self) -> Package:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def names(self) -> tuple[str, ...]:
        """All files, in order."""
        return tuple(self._entries)

    @cached_property
    def digest(self) -> str:
        """sha256 of the whole file, signatures included."""
        return Content(self.file, Entry("", 0, os.fstat(self.file).st_size)).sha256

    @cached_property
    def signature(self) -> bytes | None:
        """``signature.json``, unread; None if nobody has signed."""
        return self._small(SIGNATURE, self._limits.signature) if SIGNATURE in self._entries else None

    def entry(self, name: str) -> Entry:
        """Where a file lies in the archive."""
        return self._entries[name]

    def check(self) -> None:
        """Check every file's bytes: its hash, its kind, its tensors. A second call costs nothing.

        Raises
        ------
        PackageError
            ``hash``, ``pickle``, ``text``, ``json-...``, ``tensors-...``, ``tensors-manifest``, ``not-a-number``,
            ``truncated``.
        """
        if not self._checked:
            for name, file in self.manifest.files.items():
                check_content(Content(self.file, self._entries[name]), file, self._limits)
            self._checked = True

    def read(self, name: str) -> bytes:
        """A file's bytes, checked against the manifest (``signature.json`` and the manifest as they are).

        Raises
        ------
        PackageError
            ``file-missing`` or ``hash``.
        """
        if name not in self._entries:
            raise PackageError("file-missing", f"{self.path.name} has no file {name[:80]!a}.")
        content = Content(self.file, self._entries[name])
        data = content.take(content.size)
        if name in self.manifest.files:
            content.check_hash(self.manifest.files[name].sha256)
        return data

    def extract(self, folder: Path) -> None:
        """Write all files to a new folder: all of them, after all were checked, or nothing.

        Raises
        ------
        PackageError
            ``exists`` if the folder does; or what :meth:`check` raises.
        """
        if folder.exists() or folder.is_symlink():
            raise PackageError("exists", f"{folder} exists already; give a folder that does not.")
        self.check()
        with whole(folder) as temporary:
            temporary.mkdir()
            for name in self.names:
                self._write(name, temporary / name)

    def _write(self, name: str, path: Path) -> None:
        """Copy a file, hashing what is written: the bytes on disk may have changed since the check."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = Content(self.file, self._entries[name])
        with path.open("xb") as stream:
            for block in content.blocks():
                stream.write(block)
        if name in self.manifest.files:
            content.check_hash(self.manifest.files[name].sha256)

    def _headers(self) -> dict[str, Entry]:
        size = os.fstat(self.file).st_size
        found = read_headers(lambda start, count: os.pread(self.file, count, start), size, self._limits)
        return {entry.name: entry for entry in found}

    def _small(self, name: str, most: int) -> bytes:
        if name not in self._entries:
            raise PackageError("file-missing", f"{self.path.name} has no {name}: it is no .expert package.")
        content = Content(self.file, self._entries[name])
        if content.size > most:
            raise PackageError("size-file", f"{name} has {content.size:,} bytes; at most {most:,} are allowed.")
        return content.take(content.size)

    def _check_listed(self) -> None:
        """The files of the archive are those of the manifest, with their sizes."""
        held = {name: entry.size for name, entry in self._entries.items() if name not in (MANIFEST, SIGNATURE)}
        listed = {name: file.bytes for name, file in self.manifest.files.items()}
        if more := sorted(set(held) - set(listed)):
            raise PackageError("file-unexpected", f"The package has {more[0]}, which its manifest does not list.")
        if absent := sorted(set(listed) - set(held)):
            raise PackageError("file-missing", f"The package lacks {absent[0]}, which its manifest lists.")
        for name, size in held.items():
            if size != listed[name]:
                raise PackageError("size-manifest", f"{name} has {size:,} bytes, not {listed[name]:,} as listed.")


def _open(path: Path) -> int:
    """A file descriptor of a plain file; never waits for a pipe's other end."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise PackageError("unreadable", f"{path} cannot be read ({error.strerror}). Give a .expert file.") from None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise PackageError("unreadable", f"{path} is no plain file. Give a .expert file.")
    return file
