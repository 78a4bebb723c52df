"""How fast requests ended lately, and how long a refused one should wait."""

from __future__ import annotations

import threading
import time
from collections import deque

WINDOW = 64
"""Requests that the rate is measured over."""
SHORTEST, LONGEST = 1.0, 60.0
"""Seconds that a client is told to wait."""


class Rate:
    """Requests a second, of the last ``WINDOW`` that ended."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=WINDOW)
        self._lock = threading.Lock()

    def ended(self, now: float | None = None) -> None:
        """One more has ended."""
        with self._lock:
            self._ends.append(time.monotonic() if now is None else now)

    def per_second(self, now: float | None = None) -> float:
        """Requests a second up to now; 0 while fewer than two have ended."""
        with self._lock:
            if len(self._ends) < 2:
                return 0.0
            span = (time.monotonic() if now is None else now) - self._ends[0]
            return len(self._ends) / max(span, 1e-3)

    def retry_after(self, waiting: int, now: float | None = None) -> float:
        """Seconds until half of those that wait now are done, between 1 and 60; 1 while no rate is known."""
        rate = self.per_second(now)
        return min(max(waiting / 2 / rate, SHORTEST), LONGEST) if rate else SHORTEST
