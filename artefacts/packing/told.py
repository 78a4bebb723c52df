"""What whoever packs says of a package; all else is read from the folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from artefacts.format.error import PackageError
from artefacts.format.files import MANIFEST
from artefacts.format.names import LONGEST_NAME

FURTHER = ("members", "capabilities", "routing", "constraints", "decoding")
"""Fields of the manifest that nothing in a folder tells."""


@dataclass(frozen=True)
class Told:
    """What a folder does not tell of its package.

    Attributes
    ----------
    name, description, licence : str
        Empty: made of what the folder says.
    version, author : str
    licence_text : str
        ``LICENSE``; empty: a paragraph with the licences of the expert and of its data.
    card : str
        ``card.md`` where the folder has no ``README.md``.
    further : mapping
        Fields of the manifest, of those in :data:`FURTHER`.
    base_hash : str
        sha256 of the weights that an adapter of another program stands on.
    base_name : str
        What to call that base; empty: as the adapter does.
    """

    name: str = ""
    version: str = "1.0.0"
    description: str = ""
    author: str = "unnamed"
    licence: str = ""
    licence_text: str = ""
    card: str = ""
    further: Mapping[str, Any] = field(default_factory=dict)
    base_hash: str = ""
    base_name: str = ""

    def manifest(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """The manifest but for its files: what was found in the folder, and what was told.

        Raises
        ------
        PackageError
            ``manifest``: a field of ``further`` is none that can be told.
        """
        if wrong := sorted(set(self.further) - set(FURTHER)):
            raise PackageError(
                "manifest",
                f"{wrong[0][:80]!a} cannot be given; it is read from what is packed, or is an option. What can be "
                f"given: {', '.join(FURTHER)}.",
            )
        own = {"name": self.name, "description": self.description, "licence": self.licence}
        return {
            **found, **self.further, **{name: text for name, text in own.items() if text},
            "format": "expert/1", "version": self.version, "author": self.author,
        }  # fmt: skip


def name_of(*words: str) -> str:
    """A package's name from words: a-z, 0-9 and single hyphens.

    Raises
    ------
    PackageError
        ``name``: nothing of them is left.
    """
    text = re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")[:LONGEST_NAME].rstrip("-")
    if not text:
        raise PackageError("name", f"No name for {MANIFEST} can be made of {words!a}; give one (--name).")
    return text
