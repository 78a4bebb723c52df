"""Limits on a unit that are kept from outside of it: its time by the driver, its memory by a watch in its process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.run.time_limit import UnitTimeoutError
from foundation.beside import beside
from foundation.numbers import GIB

LOOK = 0.2
"""Seconds between two looks at a process's memory."""
GONE_MINUTES = 10.0
"""How long a unit that is under way waits for a node that died and held what no other one holds."""


@dataclass(frozen=True)
class Limits:
    """What a unit may take.

    Attributes
    ----------
    unit_minutes : float or None
        Longest wall time of one attempt, from when it runs.
    unit_memory : float or None
        GiB of resident memory.
    node_minutes : float
        How long a unit may wait for a node that can hold it.
    """

    unit_minutes: float | None = None
    unit_memory: float | None = None
    node_minutes: float = 0.0

    @property
    def memory_bytes(self) -> int:
        """Bytes that each unit asks for, 0: none."""
        return round((self.unit_memory or 0.0) * GIB)

    @property
    def late(self) -> str:
        """Why a unit was ended that took too long."""
        return (
            f"{UnitTimeoutError.__name__}: it took longer than {self.unit_minutes:g} min (unit_minutes of the suite). "
            "Raise it, or leave the method out; the same command goes on."
        )

    def large(self, found: int) -> str:
        """Why a unit was ended that took too much memory."""
        return (
            f"it took {found / GIB:.2f} GiB of memory, more than the {self.unit_memory:g} GiB that a unit may take "
            "(unit_memory of the suite). Raise it, or leave the method out; the same command goes on."
        )


UNLIMITED = Limits()


def resident_bytes() -> int:
    """Resident memory of this process now; 0 where the system does not say it (no Linux)."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return 0
    import resource

    return int(status.read_text(encoding="ascii").split()[1]) * resource.getpagesize()


@contextmanager
def memory_watched(limit: int, tell: Callable[[int], None]) -> Iterator[None]:
    """Tell, once, that this process takes more than ``limit`` bytes while the body runs; 0: no limit."""
    if not limit:
        yield
        return

    def watch() -> bool:
        found = resident_bytes()
        if found > limit:
            tell(found)
        return found <= limit

    with beside(watch, LOOK, "memory"):
        yield
