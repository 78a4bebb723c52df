"""Tasks on a part of their rows: what their names say of it."""

from __future__ import annotations

import re
from collections.abc import Collection

CAP = re.compile(r"@(\d+)")
"""What a task's name says when at most so many of its rows are used."""


def cap_of(task: str) -> int | None:
    """Largest number of rows that a task uses, None for all."""
    found = CAP.search(task)
    return int(found.group(1)) if found else None


def uncapped(task: str) -> str:
    """Name of the task on all of its rows."""
    return CAP.sub("", task)


def stands_back(task: str, among: Collection[str]) -> bool:
    """Whether a task on fewer rows is not counted, because it is there in full too."""
    return cap_of(task) is not None and uncapped(task) in among
