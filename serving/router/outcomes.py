"""How experts did: wins and losses that users report, in memory or in one file that many processes share."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from types import MappingProxyType

from foundation.files import write_json
from foundation.folder_lock import turn
from serving.router.error import RouterError

BASE = "base"
"""The base's name among experts."""

Counts = Mapping[str, tuple[int, int]]
"""Wins and losses by name."""


class Outcomes:
    """Wins and losses of base and experts.

    Parameters
    ----------
    path : Path, optional
        A file that keeps them. Every report is written at once, one process after the other, and what other processes
        write is read again. Without it they live as long as this object.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._counts: dict[str, tuple[int, int]] = {}
        self._lock = Lock()
        self._seen: tuple[int, int, int] | None = None

    @classmethod
    def of(cls, counts: Counts) -> Outcomes:
        """Outcomes in memory that begin with these counts."""
        made = cls()
        made._counts = dict(counts)
        return made

    @property
    def counts(self) -> Counts:
        """What is known now."""
        self._refresh()
        return MappingProxyType(self._counts)

    def add(self, expert: str, won: bool) -> None:
        """Record that an answer was good, or not.

        Raises
        ------
        RouterError
            If the file cannot be read or written.
        """
        if self.path is None:
            with self._lock:
                self._add(expert, won)
            return
        try:
            with turn(self.path.with_name(f"{self.path.name}.lock")):
                self._refresh()
                self._add(expert, won)
                write_json(self.path, {name: list(pair) for name, pair in self._counts.items()})
                self._seen = self._stamp()
        except OSError as error:
            raise RouterError(
                f"the outcome was not kept: {self.path} cannot be written ({error.strerror}). Make it writable, or "
                "move the folder of fairmoe with FAIRMOE_HOME"
            ) from error

    def log_rates(self) -> dict[str, float]:
        """What outcomes say of those that have any: log of the mean of Beta(1 + wins, 1 + losses), over one half."""
        return {name: math.log(2 * (1 + wins) / (2 + wins + losses)) for name, (wins, losses) in self.counts.items()}

    def _add(self, expert: str, won: bool) -> None:
        wins, losses = self._counts.get(expert, (0, 0))
        self._counts[expert] = (wins + won, losses + (not won))

    def _refresh(self) -> None:
        if self.path is None or (stamp := self._stamp()) == self._seen:
            return
        self._counts, self._seen = ({} if stamp is None else _read(self.path)), stamp

    def _stamp(self) -> tuple[int, int, int] | None:
        assert self.path is not None
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RouterError(f"the outcomes {self.path} cannot be read ({error.strerror})") from error
        return found.st_mtime_ns, found.st_ino, found.st_size


def _read(path: Path) -> dict[str, tuple[int, int]]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        counts = {str(name): (int(wins), int(losses)) for name, (wins, losses) in facts.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RouterError(
            f"the outcomes {path} cannot be read ({error}): mend the file, or delete it to begin anew"
        ) from error
    if any(min(pair) < 0 for pair in counts.values()):
        raise RouterError(f"the outcomes {path} hold a negative count: mend the file, or delete it to begin anew")
    return counts
