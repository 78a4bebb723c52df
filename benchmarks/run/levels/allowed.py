"""Allowed gaps: which result metric is bounded, by how much, and what the bound is called; bounds on reasons beside."""

from __future__ import annotations

import math
from collections.abc import Mapping
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


BOUNDS = {"fair_proc@1": ("half", 1 / 2), "att_jsd@1": ("third", 1 / 3)}
"""Procedural metric → name and size of the share of the boosted trees' own value that it may have."""

EXPLAINED_LEVELS = (ANY, "0.05")
"""Levels of the main gap at which reasons are told and bounded."""


@dataclass(frozen=True)
class Bound:
    """A procedural metric may be at most ``limit`` on explained validation rows; ``share`` is its name."""

    metric: str
    share: str
    limit: float

    @property
    def name(self) -> str:
        """As in the table."""
        return f"{self.metric}<={self.share}"


@dataclass(frozen=True)
class Allowed:
    """A result metric may be at most ``limit``; ``level`` is its name; reasons may be bounded too."""

    gap: str
    level: str
    limit: float
    bound: Bound | None = None


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


def bounded_gaps(trees: Mapping[str, float]) -> tuple[Allowed, ...]:
    """All allowed gaps of a task with a bound on reasons.

    Parameters
    ----------
    trees : mapping
        Metric → value of the tuned boosted trees on explained validation rows. Of what is nan or 0 no share is a bound.
    """
    bounds = [
        Bound(metric, name, share * trees[metric])
        for metric, (name, share) in BOUNDS.items()
        if trees.get(metric, math.nan) > 0
    ]
    return tuple(Allowed(GAP, level, _limit(level, None), bound) for bound in bounds for level in EXPLAINED_LEVELS)
