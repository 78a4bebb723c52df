"""One member of a published archive, checked before a byte of it is extracted."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

MOST = 1 << 30
"""Most bytes that an archive inside an archive, or the part of a tar file before the member, may unpack to."""


class ArchiveError(ValueError):
    """An archive that is damaged, unsafe, or does not hold what the card says."""


@contextmanager
def open_member(archive: Path, member: str, size: int) -> Iterator[IO[bytes]]:
    """Open one member of a zip, tar or tar.gz file for reading.

    Parameters
    ----------
    member : str
        Path inside the archive; ``!`` separates nested archives, as in ``bank.zip!bank-full.csv``.
    size : int
        Unpacked bytes that the member must declare.

    Raises
    ------
    ArchiveError
        If the archive is damaged, names paths outside itself, lacks the member, or declares another size.
    """
    *outer, last = member.split("!")
    try:
        with archive.open("rb") as stream:
            inner: IO[bytes] = stream
            for name in outer:
                with _open(inner, name, None) as part:
                    inner = io.BytesIO(_read_at_most(part, name))
            with _open(inner, last, size) as part:
                yield part
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, NotImplementedError) as error:
        raise ArchiveError(f"the archive {archive.name} is damaged or not an archive ({error})") from error


def check_name(name: str) -> None:
    """Refuse a path that leaves the archive: absolute, with a drive, with backslashes or with '..'."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise ArchiveError(f"the archive names the unsafe path {name!r}")


@contextmanager
def _open(stream: IO[bytes], name: str, size: int | None) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(stream):
        with zipfile.ZipFile(stream) as archive, archive.open(_zip_entry(archive, name, size)) as part:
            yield part
        return
    stream.seek(0)
    packed = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    source = _Bounded(cast(IO[bytes], gzip.GzipFile(fileobj=stream)) if packed else stream)
    with tarfile.open(fileobj=source, mode="r|") as tar:  # type: ignore[call-overload]
        yield _tar_entry(tar, name, size)


def _zip_entry(archive: zipfile.ZipFile, name: str, size: int | None) -> zipfile.ZipInfo:
    for entry in archive.infolist():
        check_name(entry.filename)
    try:
        entry = archive.getinfo(name)
    except KeyError:
        raise ArchiveError(f"the archive has no member {name!r}, it has {_some(archive.namelist())}") from None
    if entry.is_dir() or entry.flag_bits & 1:
        raise ArchiveError(f"the member {name!r} is a folder or encrypted")
    _check_size(name, entry.file_size, size)
    return entry


def _tar_entry(tar: tarfile.TarFile, name: str, size: int | None) -> IO[bytes]:
    seen = []
    for entry in tar:
        check_name(entry.name)
        seen.append(entry.name)
        if PurePosixPath(entry.name) == PurePosixPath(name):
            part = tar.extractfile(entry) if entry.isreg() else None
            if part is None:
                raise ArchiveError(f"the member {name!r} is not a plain file")
            _check_size(name, entry.size, size)
            return part
    raise ArchiveError(f"the archive has no member {name!r}, it has {_some(seen)}")


def _check_size(name: str, declared: int, size: int | None) -> None:
    if size is None and declared > MOST:
        raise ArchiveError(f"the inner archive {name!r} would unpack to {declared} bytes, more than {MOST}")
    if size is not None and declared != size:
        raise ArchiveError(f"the member {name!r} declares {declared} bytes, the card says {size}")


def _read_at_most(part: IO[bytes], name: str) -> bytes:
    data = part.read(MOST + 1)
    if len(data) > MOST:
        raise ArchiveError(f"the inner archive {name!r} unpacks to more than {MOST} bytes")
    return data


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "none"


class _Bounded:
    """A stream that refuses to unpack without end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._left = stream, MOST

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise ArchiveError(f"the archive unpacks to more than {MOST} bytes before the member is found")
        return data
