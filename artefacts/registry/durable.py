"""Files that are on the disk, not only in its cache, when the next step begins."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from foundation.files import atomic_path


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def write_durably(path: Path, data: bytes) -> None:
    """Write a file that is whole or absent, even after a power cut."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
        sync(temporary)
    sync(path.parent)


def write_json_durably(path: Path, data: Any) -> None:
    """Sorted, indented JSON, whole or absent even after a power cut."""
    write_durably(path, (json.dumps(data, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())
