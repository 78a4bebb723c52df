"""The bytes of one file in a package, hashed as they are read, and checked for being what the name says."""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Iterator

from artefacts.format.error import PackageError
from artefacts.format.files import check_start, is_text
from artefacts.format.limits import Limits
from artefacts.format.manifest import File
from artefacts.format.strict_json import read_json
from artefacts.format.tar import Entry
from artefacts.format.tensors import BLOCK, check_tensors

_CONTROLS = bytes(sign for sign in (*range(32), 127) if sign not in b"\t\n\r\f")


class Content:
    """A file's bytes from its first to its last.

    Attributes
    ----------
    name : str
    size : int
        Bytes.
    """

    def __init__(self, file: int, entry: Entry) -> None:
        self.name, self.size = entry.name, entry.size
        self._file, self._place, self._end = file, entry.start, entry.start + entry.size
        self._hash = hashlib.sha256()

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes.

        Raises
        ------
        PackageError
            ``truncated`` if the file on disk has lost them since.
        """
        count = min(count, self._end - self._place)
        data = os.pread(self._file, count, self._place)
        while len(data) < count:  # one read gives 2 GiB at most
            more = os.pread(self._file, count - len(data), self._place + len(data))
            if not more:
                raise PackageError("truncated", f"The package ended within {self.name} while it was read.")
            data += more
        self._place += count
        self._hash.update(data)
        return data

    def blocks(self) -> Iterator[bytes]:
        """What is left, in blocks."""
        while self._place < self._end:
            yield self.take(BLOCK)

    @property
    def sha256(self) -> str:
        """Hash of all bytes; those that were not read yet are."""
        for _ in self.blocks():
            pass
        return self._hash.hexdigest()

    def check_hash(self, sha256: str) -> None:
        """Compare what was read, to the end, with a hash.

        Raises
        ------
        PackageError
            ``hash``.
        """
        if self.sha256 != sha256:
            raise PackageError("hash", f"{self.name} is not the file that the manifest lists: its sha256 differs.")


def check_content(content: Content, file: File, limits: Limits) -> None:
    """Read a file once: its hash, then, if it is the listed one, whether it is what its name says.

    Raises
    ------
    PackageError
        See :meth:`artefacts.format.package.Package.check`.
    """
    try:
        found = None if is_text(content.name) else check_tensors(content, content.size, content.name, limits)
        if found is None:
            _check_text(content, limits)
    except PackageError:
        content.check_hash(file.sha256)  # damage is told as damage
        raise
    content.check_hash(file.sha256)
    if found is not None and found != file.tensors:
        raise PackageError("tensors-manifest", f"{content.name} holds {found}, the manifest tells of {file.tensors}.")


def facts_of(content: Content, limits: Limits) -> File:
    """What a manifest says of a file, after the checks of :func:`check_content`."""
    found = None
    if is_text(content.name):
        _check_text(content, limits)
    else:
        found = check_tensors(content, content.size, content.name, limits)
    return File(bytes=content.size, sha256=content.sha256, tensors=found)


def _check_text(content: Content, limits: Limits) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    if content.name.endswith(".json"):
        if content.size > limits.json:
            raise PackageError("json-size", f"{content.name} has {content.size:,} bytes; at most {limits.json:,}.")
        data = content.take(content.size)
        check_start(content.name, data[:9])
        read_json(data, content.name, limits.json)
        return
    first = True
    for block in content.blocks():
        if first:
            check_start(content.name, block[:9])
            first = False
        _check_block(block, decoder, content.name)
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise PackageError("text", f"{content.name} in the package is not UTF-8 text.") from None


def _check_block(block: bytes, decoder: codecs.IncrementalDecoder, name: str) -> None:
    try:
        decoder.decode(block)
    except UnicodeDecodeError:
        raise PackageError("text", f"{name} in the package is not UTF-8 text.") from None
    if len(block.translate(None, _CONTROLS)) != len(block):
        raise PackageError("text", f"{name} in the package holds control signs: it is no text.")
