"""Allowed gaps: which result metric is bounded, by how much, and what the bound is called."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks.run.levels.part import GAP

ANY = "any"
"""No bound at all: thresholds may still be better than the model's own cut."""

LEVELS = {
    GAP: (ANY, "0.01", "0.02", "0.05", "0.10", "half", "quarter"),
    "dp@1": ("0.02", "0.05", "0.10"),
}
"""Levels of every gap: none, fixed ones, and shares of the gap that a method without any fairness objective has."""

SHARES = {"half": 0.5, "quarter": 0.25}


@dataclass(frozen=True)
class Allowed:
    """A result metric may be at most ``limit``; ``level`` is its name."""

    gap: str
    level: str
    limit: float


def allowed_gaps(unmitigated: float | None) -> tuple[Allowed, ...]:
    """All allowed gaps of a task, in the order of :data:`LEVELS`.

    Parameters
    ----------
    unmitigated : float or None
        The utility expert's ``fair_res@1`` on validation rows. None or nan (not estimable): the levels that are shares
        of it are left out.
    """
    unknown = unmitigated is None or math.isnan(unmitigated)
    return tuple(
        Allowed(gap, level, _limit(level, unmitigated))
        for gap, levels in LEVELS.items()
        for level in levels
        if not (unknown and level in SHARES)
    )


def _limit(level: str, unmitigated: float | None) -> float:
    if level == ANY:
        return math.inf
    return SHARES[level] * (unmitigated or 0.0) if level in SHARES else float(level)
