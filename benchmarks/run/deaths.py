"""Methods on which a worker process dies: out of memory, a crash in a library, an end that raises nothing.

A worker that dies takes its job with it, and the job runs again. What it was computing is noted in the job's folder
before it starts and struck out behind it, so a note that is there when the job starts again tells of a death. A method
with one fewer than a job has attempts fails alone, and the job's other cells are computed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ATTEMPTS = 3
"""How often a job whose worker dies outside its methods is started, in all."""

FOLDER = "under_way"
DIED, MEMORY = b"x", b"m"
"""What a note holds of each death: nothing is known of it, or that memory ran out."""


class MethodDiedError(RuntimeError):
    """A method during which the worker process died again and again."""


class UnderWay:
    """Notes of what a job is computing.

    Parameters
    ----------
    home : Path
        The job's folder.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER

    def deaths(self) -> int:
        """Deaths within methods so far, of all methods together."""
        return sum(note.stat().st_size for note in self._folder.glob("*"))

    def of(self, cells: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Deaths so far within (method, repetition)."""
        found = {cell: self._note(*cell) for cell in cells}
        return {cell: note.stat().st_size if note.exists() else 0 for cell, note in found.items()}

    def restore(self, deaths: Mapping[tuple[str, int], int]) -> None:
        """Put the numbers back: what has died since was no fault of these methods."""
        for cell, count in deaths.items():
            note = self._note(*cell)
            if note.exists():
                note.write_bytes(note.read_bytes()[:count])

    def of_memory(self, deaths: Mapping[tuple[str, int], int]) -> None:
        """Note of those that have died since that it was for want of memory."""
        for cell, count in deaths.items():
            note = self._note(*cell)
            found = note.read_bytes() if note.exists() else b""
            if len(found) > count:
                note.write_bytes(found[:count] + MEMORY * (len(found) - count))

    def _note(self, method: str, repeat: int) -> Path:
        return self._folder / f"{method}_{repeat}"

    @contextmanager
    def noted(self, method: str, repeat: int) -> Iterator[None]:
        """Run a part of a method; if the process dies in it, the note stays.

        Raises
        ------
        MethodDiedError
            If the process has died in it ``ATTEMPTS - 1`` times; the next run of the suite tries again.
        """
        note = self._note(method, repeat)
        deaths = note.read_bytes() if note.exists() else b""
        if len(deaths) >= ATTEMPTS - 1:
            raise MethodDiedError(
                f"The worker process died {len(deaths)} times while {method} was computed: {_why(deaths)}. The other "
                "methods went on without it; the same command tries it again."
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        note.write_bytes(deaths + DIED)  # one byte for each death, should this be one
        try:
            yield
        finally:
            note.write_bytes(deaths)


def _why(deaths: bytes) -> str:
    if set(deaths) == set(MEMORY):
        return "it took more memory than the machine has, or than a unit may (unit_memory of the suite)"
    return "it needs more memory than there is, or its code or a library ends the process"


def forget_deaths(homes: Iterable[Path]) -> None:
    """Strike out the notes of jobs: an earlier run was ended from outside, or its deaths are to be tried again."""
    for home in homes:
        shutil.rmtree(home / FOLDER, ignore_errors=True)
