"""How far a job is: its parts, weighted by the seconds that they took in finished jobs, or else should take."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from pathlib import Path

TIMING = "timing.json"
"""In the folder of a job: ledger entry -> seconds (:class:`benchmarks.run.telling.ledger.Ledger`)."""
PARTS = "parts.json"
"""What the plan writes into the folder of a job: ledger entry -> seconds."""
ALL = "all seeds"
"""Whose a part is that no seed has for itself."""
OFTEN = ("explain ", "score ")
"""Parts that are clocked once for each method: their seconds say how far they are."""
NEARLY = 0.95
"""A part that took longer than it should is at most so far until it ends; a job too."""


def own_entry(part: str, seed: int | None) -> str:
    """Entry of a ledger for what a part took by itself, without what was made on its way."""
    return f"{part} ({ALL if seed is None else f'seed {seed}'})"


class PartShares:
    """Share of a job that is done.

    Parameters
    ----------
    expected : mapping of ledger entry -> seconds
        Only their proportions matter. Parts that are not expected count for the one that they are made within.
    """

    def __init__(self, expected: Mapping[str, float]) -> None:
        self._expected = {entry: seconds for entry, seconds in expected.items() if seconds > 0}
        self._done = dict.fromkeys(self._expected, 0.0)
        self._taken = dict.fromkeys(self._expected, 0.0)

    def reached(self, entry: str, share: float) -> None:
        """A share of a part is done; it never goes back."""
        if entry in self._done:
            self._done[entry] = max(self._done[entry], min(share, 1.0))

    def spent(self, entry: str, seconds: float) -> None:
        """A part, or what was made on its way, took some seconds."""
        if entry in self._taken:
            self._taken[entry] += seconds
            self.reached(entry, min(self._taken[entry] / self._expected[entry], NEARLY))

    def ended(self, entry: str) -> None:
        """A part is done, if it is none of those that come again."""
        if not entry.startswith(OFTEN):
            self.reached(entry, 1.0)

    def knows(self, entry: str) -> bool:
        """Whether a part is expected."""
        return entry in self._expected

    @property
    def share(self) -> float:
        """In [0, ``NEARLY``]: that the job is done, its last message says."""
        total = sum(self._expected.values())
        done = sum(self._expected[entry] * share for entry, share in self._done.items())
        return min(done / total, NEARLY) if total else 0.0


def expected_parts(folder: Path, *, whole: bool) -> dict[str, float]:
    """Ledger entry -> seconds that it should take in a job.

    Parameters
    ----------
    folder : Path
        Of the job, beside those of the other jobs of the run. Their clocks are asked first, other splits of the same
        task before other tasks; then what the plan wrote (:data:`PARTS`).
    whole : bool
        Whether no cell is finished; a job that goes on is unlike the finished ones.
    """
    place = folder.name.rsplit("_split", 1)[0]
    others = [path for path in folder.parent.glob(f"*/{TIMING}") if path.parent != folder] if whole else []
    found = {path.parent.name: _measured(path) for path in others}
    ended = {name: parts for name, parts in found.items() if any(entry.startswith(OFTEN[1]) for entry in parts)}
    chosen = [parts for name, parts in ended.items() if name.startswith(f"{place}_split")] or list(ended.values())
    if chosen:
        entries = dict.fromkeys(entry for parts in chosen for entry in parts)
        return {entry: statistics.median(parts.get(entry, 0.0) for parts in chosen) for entry in entries}
    planned: dict[str, float] = recorded_seconds(folder / PARTS)
    return planned


def _measured(path: Path) -> dict[str, float]:
    """What each part of a job took by itself."""
    own = re.compile(rf".+ \(({ALL}|seed \d+)\)")
    return {entry: seconds for entry, seconds in recorded_seconds(path).items() if own.fullmatch(entry)}


def recorded_seconds(path: Path) -> dict[str, float]:
    """Ledger entry -> seconds of a file of a job, :data:`TIMING` or :data:`PARTS`; nothing where there is no file."""
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found
