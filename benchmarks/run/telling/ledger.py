"""Seconds that each part of a job took: in all, and for each seed by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from benchmarks.plan.part_shares import own_entry, recorded_seconds
from foundation.files import write_json


class Watcher(Protocol):
    """Who is told how parts go on, by their entries in the ledger."""

    def reached(self, entry: str, share: float) -> None:
        """A share of a part is done."""

    def ended(self, entry: str, seconds: float, within: list[str]) -> None:
        """A part is done, which was made within others, the innermost last, and took some seconds by itself."""


class Ledger:
    """Seconds that each part of a job took, kept across interruptions.

    A part by its name has all that was made on its way, summed over seeds: what the next run will take. Beside it
    stands what it took by itself for each seed (:meth:`of_seed`): what a method of that seed costs.

    Parameters
    ----------
    path : Path
    watcher : Watcher, optional
    before : mapping, optional
        Entries of other ledgers of the job: they count in totals, and are not written to the file.
    """

    def __init__(
        self, path: Path, watcher: Watcher | None = None, before: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        self._path, self._watcher, self._before = path, watcher, before
        self._open: list[str] = []
        self.seconds: dict[str, float] = recorded_seconds(path)
        self._within: list[float] = []

    @contextmanager
    def clock(self, part: str, *, seed: int | None = None, shared_by: int = 1) -> Iterator[None]:
        """Add the body's wall time to a part; a part that is clocked within it is not its own.

        Parameters
        ----------
        part : str
        seed : int, optional
            Repetition that it is made for; default: for all of them.
        shared_by : int
            Repetitions that were made together in the body; each took its share.
        """
        start = time.perf_counter()
        self._within.append(0.0)
        self._open.append(own_entry(part, seed))
        try:
            yield
        finally:
            others = self._within.pop()
            self._open.pop()
        took = time.perf_counter() - start
        if self._within:
            self._within[-1] += took
        self._add(part, took)
        self._add(own_entry(part, seed), (took - others) / shared_by)
        write_json(self._path, self.seconds)
        if self._watcher is not None:
            self._watcher.ended(own_entry(part, seed), took - others, self._open)

    def reached(self, part: str, share: float, *, seed: int | None = None) -> None:
        """A share in [0, 1] of a part is done, of a repetition or of all."""
        if self._watcher is not None:
            self._watcher.reached(own_entry(part, seed), share)

    def of_seed(self, seed: int) -> SeedLedger:
        """The ledger as a repetition writes and reads it."""
        return SeedLedger(self, seed)

    def total(self, parts: tuple[str, ...], seed: int) -> float:
        """Seconds that several parts took by themselves for a repetition."""
        entries = [own_entry(part, owner) for part in dict.fromkeys(parts) for owner in (seed, None)]
        return sum(known.get(entry, 0.0) for known in (self._before, self.seconds) for entry in entries)

    def _add(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds


@dataclass(frozen=True)
class SeedLedger:
    """A job's ledger for one repetition."""

    ledger: Ledger
    seed: int

    @contextmanager
    def clock(self, part: str) -> Iterator[None]:
        """Add the body's wall time to a part of this repetition."""
        with self.ledger.clock(part, seed=self.seed):
            yield

    def reached(self, part: str, share: float) -> None:
        """A share in [0, 1] of a part of this repetition is done."""
        self.ledger.reached(part, share, seed=self.seed)

    def total(self, parts: tuple[str, ...]) -> float:
        """Seconds of several parts together: those of this repetition, and what all share."""
        return self.ledger.total(parts, self.seed)
