"""An installed package, as whoever judges signatures sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from artefacts.format.files import SIGNATURE
from artefacts.format.manifest import Manifest


@dataclass(frozen=True)
class Tree:
    """Files of an installed package.

    Attributes
    ----------
    folder : Path
        Its files, hashed before.
    manifest : Manifest
    content, digest : str
        sha256 of the canonical manifest, and of the package's file.
    """

    folder: Path
    manifest: Manifest
    content: str
    digest: str

    @property
    def signature(self) -> bytes | None:
        """``signature.json``; None if nobody has signed."""
        path = self.folder / SIGNATURE
        return path.read_bytes() if path.is_file() else None
