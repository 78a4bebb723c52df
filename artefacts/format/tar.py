"""The archive: an uncompressed tar (POSIX ustar) of which there is one for given files, byte by byte.

Names in order, plain files only, mode 0644, no owner, no time, two blocks of zeros at the end and nothing after them. A
header that says anything else is refused: what pack writes is all that is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from artefacts.format.error import PackageError
from artefacts.format.files import check_distinct, check_file_name
from artefacts.format.limits import Limits

BLOCK = 512
END = bytes(2 * BLOCK)
_LARGEST = 8**11 - 1
_KINDS = {
    b"1": ("link-hard", "a hard link"), b"2": ("link-symbolic", "a symbolic link"), b"3": ("device", "a device"),
    b"4": ("device", "a device"), b"5": ("folder", "a folder of its own"), b"6": ("fifo", "a named pipe"),
    b"S": ("sparse", "a sparse file"), b"x": ("pax", "an extended header, which could rename a file"),
    b"g": ("pax", "an extended header, which could rename files"), b"L": ("gnu-name", "a long name of GNU's"),
    b"K": ("gnu-name", "a long link of GNU's"),
}  # fmt: skip


class Entry(NamedTuple):
    """A file of an archive: where its bytes start, and how many they are."""

    name: str
    start: int
    size: int


def header(name: str, size: int) -> bytes:
    """The one header that a file of that name and size has."""
    prefix, name = _split(name)
    if size > _LARGEST:
        raise PackageError("size-file", f"{name} has {size:,} bytes; a tar archive holds files up to 8 GiB.")
    fields = (
        name.encode().ljust(100, b"\0"), b"0000644\0", b"0000000\0", b"0000000\0", f"{size:011o}\0".encode(),
        b"00000000000\0", b" " * 8, b"0", bytes(100), b"ustar\x0000", bytes(32), bytes(32), bytes(8), bytes(8),
        prefix.encode().ljust(155, b"\0"), bytes(12),
    )  # fmt: skip
    block = b"".join(fields)
    return block[:148] + f"{sum(block):06o}\0 ".encode() + block[156:]


def _split(name: str) -> tuple[str, str]:
    """A name in two fields: as much as fits stands in the second."""
    if len(name) <= 100:
        return "", name
    cut = name.find("/", len(name) - 101)
    if not 0 < cut <= 155:
        raise PackageError("file-name-length", f"{name[:80]!a}... does not fit the header of a tar archive.")
    return name[:cut], name[cut + 1 :]


def padding(size: int) -> int:
    """Zeros after a file of that size."""
    return -size % BLOCK


def read_headers(read: Callable[[int, int], bytes], length: int, limits: Limits) -> list[Entry]:
    """All files of an archive, after every byte that is not a file's content was found to be what it must be.

    Parameters
    ----------
    read : callable (start, count) -> bytes
        Fewer bytes only at the end.
    length : int
        Bytes of the archive.
    limits : Limits

    Raises
    ------
    PackageError
        ``truncated``, ``trailing-bytes``, ``archive-header``, ``archive-order``, ``archive-padding``, ``size-...``,
        ``file-...``, ``path-...``, or what a header is of: ``link-hard``, ``device``, ``pax``, ``sparse``, ...
    """
    entries: list[Entry] = []
    place, total = 0, 0
    while True:
        block = read(place, BLOCK)
        if len(block) < BLOCK:
            raise PackageError("truncated", f"The package ends after {length:,} bytes, in the middle.")
        if block == bytes(BLOCK):
            _check_end(read, place, length)
            break
        name, size = _one(block)
        entry = Entry(name, place + BLOCK, size)
        total += size
        _check_sizes(entry, total, len(entries) + 1, limits)
        place = entry.start + size + padding(size)
        if place > length:
            raise PackageError("truncated", f"The package ends after {length:,} bytes, within {name}.")
        if any(read(entry.start + size, padding(size))):
            raise PackageError("archive-padding", f"There are bytes behind {name} that belong to no file.")
        entries.append(entry)
    names = [entry.name for entry in entries]
    check_distinct(names)
    if names != sorted(names):
        raise PackageError("archive-order", "The package's files are not in the order of their names.")
    return entries


def _check_end(read: Callable[[int, int], bytes], place: int, length: int) -> None:
    if len(read(place, len(END))) < len(END):
        raise PackageError("truncated", f"The package ends after {length:,} bytes, without the zeros at its end.")
    if read(place, len(END)) != END or length != place + len(END):
        raise PackageError("trailing-bytes", f"The package has {length - place - len(END):,} bytes after its end.")


def _one(block: bytes) -> tuple[str, int]:
    """Name and size of a header, if it is the one that pack writes."""
    told = block[148:156]
    if told != f"{sum(block) - sum(told) + 8 * 32:06o}\0 ".encode():
        raise PackageError("archive-header", "A header of the package is damaged, or this is no .expert package.")
    if block[156:157] in _KINDS:
        reason, what = _KINDS[block[156:157]]
        raise PackageError(reason, f"The package holds {what}; only plain files have a place in one.")
    name, size = _name(block), _size(block)
    check_file_name(name)
    if header(name, size) != block:
        raise PackageError(
            "archive-header", f"The header of {name} says more than a name and a size; only 'fairmoe package' packs."
        )
    return name, size


def _name(block: bytes) -> str:
    fields = (block[345:500].rstrip(b"\0"), block[:100].rstrip(b"\0"))
    try:
        return "/".join(field.decode("utf-8") for field in fields if field)
    except UnicodeDecodeError:
        raise PackageError("file-name", f"The package has a file whose name is not UTF-8: {block[:60]!a}.") from None


def _size(block: bytes) -> int:
    field = block[124:136]
    if field[0] & 0x80:
        size = int.from_bytes(field, "big") & ~(0x80 << 88)
        raise PackageError("size-file", f"A header of the package tells of a file of {size:,} bytes.")
    if field[11:] != b"\0" or any(digit not in b"01234567" for digit in field[:11]):
        raise PackageError("archive-header", f"A header of the package has the size {field!a}, which is no number.")
    return int(field[:11], 8)


def _check_sizes(entry: Entry, total: int, count: int, limits: Limits) -> None:
    if entry.size > limits.file:
        raise PackageError("size-file", f"{entry.name} has {entry.size:,} bytes; at most {limits.file:,} are allowed.")
    if total > limits.total:
        raise PackageError("size-total", f"The package's files have over {limits.total:,} bytes together.")
    if count > limits.files:
        raise PackageError("size-count", f"The package has more than {limits.files:,} files.")
