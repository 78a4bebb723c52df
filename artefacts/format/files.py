"""Which files a package may hold: their names, their kinds, and what kinds of bytes they are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from artefacts.format.error import PackageError

MANIFEST, SIGNATURE = "manifest.json", "signature.json"
LONGEST, LONGEST_PART, DEEPEST = 200, 80, 12
TEXT = (".json", ".txt", ".md", ".csv")
"""Kinds of files that are UTF-8 text."""
TENSORS = ".safetensors"
_PLAIN = ("LICENSE", "NOTICE")
_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.+=@ -]*[A-Za-z0-9_+=@-])?\Z")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10))}
_PICKLES = (*(b"\x80" + bytes([version]) for version in range(2, 6)), b"PK\x03\x04", b"\x1f\x8b", b"\x93NUMPY")


def check_file_name(name: str) -> str:
    """A file's name in a package as it is: a relative path that means the same on every system.

    Raises
    ------
    PackageError
        ``path-absolute``, ``path-traversal``, ``file-name-length``, ``file-name``, ``file-type``.
    """
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        raise PackageError("path-absolute", f"The package has a file {name[:80]!a}, whose path is absolute.")
    parts = name.split("/")
    if ".." in parts or ".." in name.split("\\"):
        raise PackageError("path-traversal", f"The package has a file {name[:80]!a}, which leads out of its folder.")
    if len(name) > LONGEST or len(parts) > DEEPEST or any(len(part) > LONGEST_PART for part in parts):
        raise PackageError(
            "file-name-length",
            f"The package has a file {name[:60]!a}... with {len(name):,} signs in {len(parts)} parts; at most "
            f"{LONGEST}, {LONGEST_PART} a part, in {DEEPEST} parts.",
        )
    for part in parts:
        if not _PART.match(part) or part.partition(".")[0].lower() in _DEVICES:
            raise PackageError(
                "file-name",
                f"The package has a file {name[:80]!a}; names are of letters, digits and _.+=@- without accents.",
            )
    if name not in _PLAIN and not name.endswith((*TEXT, TENSORS)):
        raise PackageError(
            "file-type",
            f"The package has a file {name[:80]!a}, of a kind that none may hold: weights are .safetensors, all "
            f"else is text ({', '.join(TEXT)}). Code and pickles have no place in a package.",
        )
    return name


def check_distinct(names: Iterable[str]) -> None:
    """Refuse names that are one file on some system: equal but for case or Unicode's forms, or a file and a folder.

    Raises
    ------
    PackageError
        ``file-twice``.
    """
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in names:
        key = unicodedata.normalize("NFKC", name).casefold()
        parts = key.split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts))]
        other = seen.get(key) or folders.get(key) or next((seen[part] for part in above if part in seen), None)
        if other is not None:
            raise PackageError(
                "file-twice", f"The package has both {other[:80]!a} and {name[:80]!a}, one file for some."
            )
        seen[key] = name
        folders.update(dict.fromkeys(above, name))


def check_start(name: str, start: bytes) -> None:
    """Refuse what is a pickle or an archive by its first nine bytes, whatever it is called.

    Raises
    ------
    PackageError
        ``pickle``.
    """
    tensors = name.endswith(TENSORS) and start[8:9] == b"{"  # eight bytes of length, which can be any
    if start.startswith(_PICKLES) and not tensors:
        raise PackageError("pickle", f"{name} in the package is a pickle or an archive, not what its name says.")


def is_text(name: str) -> bool:
    """Whether a file of that name is UTF-8 text."""
    return not name.endswith(TENSORS)
