"""Hashes that name what was computed: of JSON, and of files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def hash_json(data: Any) -> str:
    """Lower-case hex sha256 of JSON with sorted keys; equal data give equal hashes."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def hash_file(path: Path) -> str:
    """Lower-case hex sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
