"""How much memory a streamed run takes: what is estimated before, and what was used."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.plan.suite import SuiteError
from benchmarks.streaming.methods import TREES
from foundation.numbers import GIB
from tasks.card import Card

BASE = 1.75 * GIB
"""Bytes of the libraries, of chunks of raw rows, of buffers of encoded ones and of networks in training."""
BYTES_PER_ROW = 130
"""Of all rows: label, group, part and row number, and what the split needs while it is made."""
TREES_BASE = 1.0 * GIB
"""Bytes of the rows that bins of trees are made from, and of those that trees are tuned on, whatever the table."""
TREES_PER_ROW = 24
"""Of all rows, half of which are for training: labels, scores, gradients and places of boosted trees."""


def trees_gib(rows: int, columns: int) -> float:
    """What boosted trees on a table need: beside the above one byte per training row and column, kept twice."""
    return (BASE + TREES_BASE + rows * (columns + TREES_PER_ROW)) / GIB


def lacks_memory(method: str, cards: Sequence[Card], limit: float) -> str:
    """What a method needs beyond a limit in GiB on one of the tables; empty if it keeps it."""
    if method not in TREES or not cards:
        return ""
    needed, rows = max((trees_gib(card.rows, len(card.column)), card.rows) for card in cards)
    if needed <= limit:
        return ""
    return f"boosted trees of {rows:,} rows need {needed:.1f} GiB; give --max-memory {needed + 0.05:.1f}"


def rows_gib(rows: int) -> float:
    """What a table of so many rows needs, whatever its columns."""
    return (BASE + BYTES_PER_ROW * rows) / GIB


def refuse_too_little(rows: int, limit: float) -> None:
    """Refuse a limit in GiB that a table of so many rows cannot keep.

    Raises
    ------
    SuiteError
        With the least that would do.
    """
    needed = rows_gib(rows)
    if needed > limit:
        raise SuiteError(
            f"--max-memory {limit:g} is too little for {rows:,} rows: every row needs {BYTES_PER_ROW} bytes while the "
            f"split is made, and libraries and buffers {BASE / GIB:g} GiB. Use --max-memory {needed + 0.05:.1f} or "
            "more, or a card of fewer of its files."
        )


def peak_gib() -> float:
    """Largest resident memory of this process so far, in GiB.

    Linux keeps what the system tells of a process's resources over ``exec``, so that a program would answer for
    whoever started it; the memory of its own is in ``/proc``.
    """
    status = Path("/proc/self/status")
    for line in status.read_text(encoding="ascii").splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / GIB
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GIB
