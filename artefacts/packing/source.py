"""What a folder gives to its package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from artefacts.format.error import PackageError

README, CARD = "README.md", "card.md"


@dataclass(frozen=True)
class Source:
    """What is packed of a folder, and what it says of itself.

    Attributes
    ----------
    files : mapping of str to Path
        Name in the package to the file.
    facts : mapping
        Fields of the manifest.
    rights : tuple of str
        Paragraphs for ``LICENSE``: whose data it was made from, and their licence.
    texts : mapping of str
        Files that the folder lacks: name in the package to what it holds.
    warnings : tuple of str
        What whoever packs it must know before others have it.
    """

    files: Mapping[str, Path]
    facts: Mapping[str, Any]
    rights: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def files_of(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Files of a folder by their names in the package, and its ``README.md`` as card, if it has one.

    Raises
    ------
    PackageError
        ``link-symbolic``: one of them is a link.
    """
    files = {name: folder / name for name in names}
    if (folder / README).exists():
        files[CARD] = folder / README
    links = [name for name, path in files.items() if path.is_symlink()]
    if links:
        raise PackageError("link-symbolic", f"{folder} holds the link {links[0][:80]!a}; copy what it leads to.")
    return files


def below(folder: Path) -> list[Path]:
    """All files below a folder, links among them, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
