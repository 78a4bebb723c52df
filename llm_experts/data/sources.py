"""Where the files of a published set of texts are, how they are checked and under which licence they come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks.card import SourceFile
from tasks.fetch import fetch

RAW = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class Source:
    """One published set.

    Attributes
    ----------
    name, title, homepage, licence, citation : str
        As published.
    file : tuple of SourceFile
        Address, size and sha256 of the published bytes, and the path in a mirror.
    notes : tuple of str
        What a reader of its numbers has to know.
    """

    name: str
    title: str
    homepage: str
    licence: str
    citation: str
    file: tuple[SourceFile, ...]
    notes: tuple[str, ...] = ()
    folder: Path | None = None

    def paths(self) -> dict[str, Path]:
        """Checked local files by name, downloaded if need be (:func:`tasks.fetch.fetch`)."""
        return fetch(self, progress=False)


def published_file(
    folder: str, base: str, name: str, size: int, sha256: str, *, packed: bool = False, at: str = ""
) -> SourceFile:
    """Address ``base/at`` (``at`` defaults to the name); in ``folder`` of the mirror, gzipped if ``packed``."""
    mirror = f"{folder}/{name}" + (".gz" if packed else "")
    return SourceFile(name=name, url=f"{base}/{at or name}", sha256=sha256, bytes=size, mirror=mirror)
