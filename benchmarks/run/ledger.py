"""Seconds that each part of a job took."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foundation.files import write_json


class Ledger:
    """Seconds that each part of a job took, kept across interruptions."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.seconds: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    @contextmanager
    def clock(self, part: str) -> Iterator[None]:
        """Add the body's wall time to a part."""
        start = time.perf_counter()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start
        write_json(self._path, self.seconds)

    def total(self, parts: tuple[str, ...]) -> float:
        """Seconds of several parts together."""
        return sum(self.seconds.get(part, 0.0) for part in parts)
