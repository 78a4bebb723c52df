"""Packages to check: sound ones, and ones that no packer of ours would make."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from artefacts.format.archive import pack
from artefacts.format.canonical import canonical
from artefacts.format.tar import END, header, padding

WEIGHTS = save({"w": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.zeros(3, np.float16)})
FILES = {
    "LICENSE": b"Apache-2.0\n",
    "card.md": "# German, é\n".encode(),
    "expert/expert.json": b'{"kind":"family"}',
    "expert/weights.safetensors": WEIGHTS,
}
FACTS: dict[str, Any] = {
    "format": "expert/1",
    "name": "german-mlp",
    "version": "1.0.0",
    "description": "Says who repays.",
    "author": "Ada",
    "licence": "Apache-2.0",
    "kind": "network",
}


def folder_of(path: Path, files: Mapping[str, bytes] = FILES, **facts: Any) -> Path:
    """A folder that can be packed."""
    for name, data in {**files, "manifest.json": json.dumps({**FACTS, **facts}).encode()}.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def packed(path: Path, files: Mapping[str, bytes] = FILES, **facts: Any) -> Path:
    """A sound package."""
    pack(folder_of(path.with_suffix(".folder"), files, **facts), path)
    return path


def entry(name: str, data: bytes) -> bytes:
    """A file in an archive."""
    return header(name, len(data)) + data + bytes(padding(len(data)))


def listing(files: Mapping[str, bytes], told: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a manifest says of files, whether or not they are what they should be."""
    found: dict[str, Any] = {}
    for name, data in files.items():
        found[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        if name.endswith(".safetensors"):
            found[name]["tensors"] = (told or {}).get(name, {"F16": 3, "F32": 12})
    return found


def forged(files: Mapping[str, bytes] = FILES, *, told: Mapping[str, Any] | None = None, **facts: Any) -> bytes:
    """A package whose manifest agrees with its files, made without any check."""
    manifest = canonical({**FACTS, **facts, "files": listing(files, told)})
    return archived({**files, "manifest.json": manifest})


def archived(files: Mapping[str, bytes]) -> bytes:
    """An archive of files in order, made without any check."""
    return b"".join(entry(name, files[name]) for name in sorted(files)) + END


def resealed(block: bytes) -> bytes:
    """A header with the right checksum."""
    bare = block[:148] + b" " * 8 + block[156:]
    return bare[:148] + f"{sum(bare):06o}\0 ".encode() + bare[156:]


def tensors(told: Any, data: bytes) -> bytes:
    """A safetensors file with any header."""
    text = told if isinstance(told, bytes) else json.dumps(told).encode()
    return struct.pack("<Q", len(text)) + text + data


def one_tensor(dtype: str, shape: Any, offsets: Any, data: bytes) -> bytes:
    """A safetensors file with one tensor."""
    return tensors({"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}, data)
