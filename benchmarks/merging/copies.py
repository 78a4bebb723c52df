"""Several copies of one cell, or of what a job keeps beside its cells: are they whole, are they equal, which one stays.

Which one stays depends on the copies alone, never on the order of the folders, and of two that were chosen already the
same one is chosen again: folders can be merged in any order, and what is merged can be merged further.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cells.digests import content, damages
from benchmarks.merging.inputs import NAMED, Input, MergeError
from benchmarks.plan.part_shares import TIMING, recorded_seconds
from benchmarks.plan.recorded import RecordedJob
from foundation.files import is_temporary
from foundation.hashing import hash_file, hash_json
from foundation.words import listing, plural

APART = frozenset({"cells", "under_way", TIMING})
"""In the folder of a job: what is merged by itself, and notes of a run that is under way."""


@dataclass(frozen=True)
class Chosen:
    """A finished cell and the copy of it that stays."""

    job: RecordedJob
    key: str
    source: Path


def chosen_cells(inputs: Sequence[Input], jobs: Sequence[RecordedJob], told: Callable[[], None]) -> list[Chosen]:
    """The copy of each finished cell that stays: that which was finished first.

    Parameters
    ----------
    inputs : sequence of Input
    jobs : sequence of RecordedJob
    told : callable
        Called once for each job.

    Raises
    ------
    MergeError
        If a copy is damaged, or two are not equal in all but what they cost; the text names the cells.
    """
    found: list[Chosen] = []
    damaged: list[str] = []
    unequal: list[str] = []
    for job in jobs:
        for (method, repeat), key in job.recorded_cells.items():
            copies = [path for entry in inputs if (path := entry.cell(job, key)).is_dir()]
            wrong = [f"{path} ({listing(faults, most=2)})" for path in copies if (faults := damages(path))]
            damaged += wrong
            if wrong or not copies:
                continue
            if len({content(path) for path in copies}) > 1:
                unequal.append(f"{job.name} {method} (seed {repeat}) in {listing(list(map(str, copies)))}")
            found.append(Chosen(job, key, min(copies, key=_finished)))
        told()
    _refuse(damaged, unequal)
    return found


def _refuse(damaged: Sequence[str], unequal: Sequence[str]) -> None:
    if damaged:
        raise MergeError(
            f"{_subject(damaged, 'is', 'are')} damaged: {listing(damaged, most=NAMED)}. Copy the folder again from "
            "where it was computed, or delete what is damaged and run the command of the folder again, which computes "
            "nothing else. Nothing was merged."
        )
    if unequal:
        raise MergeError(
            f"{_subject(unequal, 'was', 'were')} computed in several folders, with different results: "
            f"{listing(unequal, most=NAMED)}. The same code gave other numbers there: another processor, or a damaged "
            "disk. Leave one of the folders out. Nothing was merged."
        )


def _subject(cells: Sequence[str], one: str, several: str) -> str:
    """``1 cell is``, ``2 cells are``."""
    return f"{plural(len(cells), 'cell')} {one if len(cells) == 1 else several}"


def _finished(cell: Path) -> tuple[str, str]:
    path = cell / "cell.json"
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return str(facts["cost"].get("finished", "")), hash_file(path)


@dataclass(frozen=True)
class State:
    """What a job keeps beside its cells: trials, weights, choices; whole from one folder, never mixed.

    ``files`` maps paths below the job's folder to their sha256.
    """

    folder: Path
    files: Mapping[str, str]
    size: int

    @property
    def order(self) -> tuple[int, int, str]:
        """The fuller of two states is the later one of the same computation."""
        return len(self.files), self.size, hash_json(dict(self.files))


def state_of(folder: Path) -> State:
    """What the folder of a job keeps."""
    files = sorted(_files(folder)) if folder.is_dir() else []
    hashes = {path.relative_to(folder).as_posix(): hash_file(path) for path in files}
    return State(folder, hashes, sum(path.stat().st_size for path in files))


def _files(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name not in APART and not is_temporary(entry.name):
            below = entry.rglob("*") if entry.is_dir() else [entry]
            yield from (path for path in below if path.is_file() and not is_temporary(path.name))


def merged_seconds(folders: Sequence[Path]) -> dict[str, float]:
    """Seconds of a job's parts: where several folders measured one, the longest, which has the others' parts in it."""
    found: dict[str, float] = {}
    for path in (folder / TIMING for folder in folders):
        for part, seconds in recorded_seconds(path).items():
            found[part] = max(seconds, found.get(part, 0.0))
    return found
