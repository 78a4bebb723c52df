"""A text file as bytes and as characters: unpacked if it is packed, in the encoding that it is written in."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from tasks.archive import MOST
from tasks.card import DataError

PACKED = (".gz", ".bz2", ".xz", ".zip")
_OPEN: dict[str, Callable[[Any], Any]] = {
    ".gz": lambda raw: gzip.GzipFile(fileobj=raw, mode="rb"), ".bz2": bz2.BZ2File, ".xz": lzma.LZMAFile
}  # fmt: skip
"""Opens packed bytes as a stream of the unpacked ones."""
_BEGINS = {b"\x1f\x8b": ".gz", b"BZh": ".bz2", b"\xfd7zXZ\x00": ".xz", b"PK\x03\x04": ".zip"}
"""First bytes of packed files."""
_BLOCK = 1 << 20
_ERRORS = (gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError)
_UTF8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
"""A letter of several bytes in UTF-8; in another encoding its bytes are an unlikely pair such as Ã¤."""
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8"}
"""Byte order marks that begin a file."""


def plain_name(path: Path) -> str:
    """Name of the file without the ending of what packs it: "a.csv" of "a.csv.gz"."""
    return path.stem if path.suffix.lower() in PACKED else path.name


def source(path: Path) -> Path | IO[bytes]:
    """What a reader of tables opens: the path itself, or the unpacked bytes of a packed file.

    Raises
    ------
    DataError
        If a packed file is damaged, unpacks without end, or holds several files.
    """
    return io.BytesIO(content(path)) if path.suffix.lower() in PACKED else path


def content(path: Path) -> bytes:
    """All bytes of a file, unpacked; errors as for :func:`source`."""
    suffix = path.suffix.lower()
    if suffix not in PACKED:
        return path.read_bytes()
    with path.open("rb") as raw:
        try:
            with _unpacked(raw, suffix, str(path)) as stream:
                data = stream.read(MOST + 1)
        except _ERRORS as error:
            raise DataError(
                f"{path} is not a whole {suffix} file ({' '.join(str(error).split())}); copy or download it again."
            ) from error
    if len(data) > MOST:
        raise DataError(f"{path} unpacks to more than {MOST} bytes; unpack it and give the table that you mean.")
    return data


@contextmanager
def unpacked(raw: IO[bytes], called: str) -> Iterator[IO[bytes]]:
    """Bytes that can be read again from the beginning, unpacked if their first bytes say that they are packed.

    Parameters
    ----------
    raw : stream of bytes
        A file, or bytes that are held; it must be seekable.
    called : str
        What errors call it.

    Raises
    ------
    DataError
        If a packed file is damaged, or a zip holds several files.
    """
    first = raw.read(6)
    raw.seek(0)
    kind = next((kind for begin, kind in _BEGINS.items() if first.startswith(begin)), "")
    if not kind:
        yield raw
        return
    try:
        with _unpacked(raw, kind, called) as stream:
            yield stream
    except _ERRORS as error:
        raise DataError(
            f"{called} is not a whole {kind} file ({' '.join(str(error).split())}); copy or download it again."
        ) from error


@contextmanager
def _unpacked(raw: IO[bytes], kind: str, called: str) -> Iterator[IO[bytes]]:
    if kind != ".zip":
        with _OPEN[kind](raw) as stream:
            yield cast(IO[bytes], stream)
        return
    with zipfile.ZipFile(raw) as archive, archive.open(_only_member(archive, called)) as stream:
        yield stream


def _only_member(archive: zipfile.ZipFile, called: str) -> zipfile.ZipInfo:
    members = [e for e in archive.infolist() if not e.is_dir() and not e.filename.startswith("__MACOSX/")]
    if len(members) == 1:
        return members[0]
    listed = ", ".join(repr(PurePosixPath(e.filename).as_posix()) for e in members[:6])
    raise DataError(
        f"{called} holds {len(members)} files ({listed}{', ...' if len(members) > 6 else ''}); unpack it and "
        "give the one that is the table."
    )


def encoding_in(stream: IO[bytes], called: str, otherwise: str = "utf-8") -> str:
    """Encoding of a text that is read block by block, and left at its beginning.

    Parameters
    ----------
    stream : stream of bytes
        As :func:`unpacked` gives it.
    called : str
        What errors call it.
    otherwise : str
        Encoding of a text that is neither UTF-8 nor marked; "utf-8": it is found out as by :func:`encoding_of`.
    """
    first = stream.read(400)
    stream.seek(0)
    if any(first.startswith(mark) for mark in _MARKS) or first.count(b"\0") > len(first) / 4:
        return encoding_of(first, Path(called))
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while block := stream.read(_BLOCK):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        stream.seek(0)
        return encoding_of(stream.read(), Path(called)) if otherwise == "utf-8" else otherwise
    finally:
        stream.seek(0)
    return "utf-8"


def encoding_of(data: bytes, path: Path) -> str:
    """Encoding of a text: "utf-8" (with or without its mark), "utf-16", or "cp1252", which most older files are in.

    Raises
    ------
    DataError
        If some lines are UTF-8 and others are not, or the bytes are no text in any of them.
    """
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            return name
    if data[:400].count(b"\0") > len(data[:400]) / 4:
        return "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _older(data, error, path)
    return "utf-8"


def _older(data: bytes, error: UnicodeDecodeError, path: Path) -> str:
    """cp1252, or latin-1 where a byte has no letter in it; refused where letters of both kinds stand side by side."""
    other = _UTF8.search(data)
    if other is not None:
        raise DataError(
            f"{path} mixes encodings: line {_line(data, other.start())} is UTF-8 ({other[0]!r}) and line "
            f"{_line(data, error.start)} is not ({data[error.start : error.start + 1]!r}). Write the whole file in "
            "one encoding, best UTF-8."
        )
    if b"\0" in data:
        raise DataError(f"{path} is no text: it holds zero bytes. Give a table, or say what it is by its ending.")
    try:
        data.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1
