"""How much a package may hold."""

from __future__ import annotations

from dataclasses import dataclass

from artefacts.format.manifest import LARGEST


@dataclass(frozen=True)
class Limits:
    """Bounds that are checked before anything is read by what a header says; sizes in bytes.

    Attributes
    ----------
    files, file, total : int
        Files of a package; bytes of one; bytes of all.
    manifest, signature, json : int
        Bytes of ``manifest.json``, of ``signature.json``, of any other JSON file.
    tensors, header : int
        Tensors of a safetensors file, and bytes of its header.
    """

    files: int = 2_000
    file: int = 4 * 2**30
    total: int = 8 * 2**30
    manifest: int = LARGEST
    signature: int = 2**18
    json: int = 64 * 2**20
    tensors: int = 100_000
    header: int = 16 * 2**20


LIMITS = Limits()
"""What is allowed if nobody says otherwise."""
