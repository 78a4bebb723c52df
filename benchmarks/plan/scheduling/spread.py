"""How far equal parts of jobs differ in time, from the clocks of earlier jobs: what makes stragglers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

LEAST = 0.1
"""Seconds below which a part's time is that of the clock and the system, not of its work."""


def measured_spread(ledgers: Iterable[tuple[str, Mapping[str, float]]]) -> tuple[float, int]:
    """Standard deviation of the logarithm of a part's seconds over the splits of a task, and its degrees of freedom.

    Parameters
    ----------
    ledgers : iterable of (task, ledger)
        A ledger maps the parts of a job to seconds. Jobs of one task differ in their splits alone, so that a part of
        theirs is the same work. Parts of less than ``LEAST`` seconds on average are left out.

    Returns
    -------
    spread : float
        Pooled over all parts of all tasks; 0 where no task has two jobs.
    degrees : int
        Its relative standard error is about 1 / sqrt(2 degrees).
    """
    found: dict[tuple[str, str], list[float]] = {}
    for task, ledger in ledgers:
        for part, seconds in ledger.items():
            found.setdefault((task, part), []).append(seconds)
    squares, degrees = 0.0, 0
    for values in found.values():
        if len(values) > 1 and min(values) > 0 and sum(values) / len(values) >= LEAST:
            logs = [math.log(value) for value in values]
            mean = sum(logs) / len(logs)
            squares += sum((value - mean) ** 2 for value in logs)
            degrees += len(logs) - 1
    return (math.sqrt(squares / degrees) if degrees else 0.0), degrees
