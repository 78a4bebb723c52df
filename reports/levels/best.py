"""Who wins at a fairness level of one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metrics.holm import holm
from reports.levels.contenders import Contender, Id
from reports.levels.reached import Reached
from reports.stats.statistics import CONFIDENCE, corrected_interval


@dataclass(frozen=True)
class Best:
    """Who wins at a level of a task: chosen on validation rows among those that reach it, told with test values.

    ``tied``: others that reach the level and whose test utility is not surely lower (paired corrected test over
    splits, Holm-corrected); ``eligible``: all that reach it; ``unknown``: methods of the task of which nothing is known
    at the level, because they failed: no evidence that nothing reaches it.
    """

    level: str
    winner: Contender | None
    reached: Reached | None
    tied: tuple[Contender, ...]
    eligible: int
    unknown: int


def best_at(level: str, found: Mapping[Id, Reached], contenders: Sequence[Contender], asked: Sequence[str]) -> Best:
    """The winner at a level of a task; equal validation utility goes to plain before thresholds.

    ``asked`` are the ids of the methods of the task, those that failed among them.
    """
    unknown = len(set(asked) - {method for method, _ in found})
    able = [c for c in contenders if c.id in found and found[c.id].feasible]
    able = [c for c in able if not np.isnan(found[c.id].validation).all()]
    if not able:
        return Best(level, None, None, (), 0, unknown)
    best = max(able, key=lambda c: float(np.nanmean(found[c.id].validation)))
    others = [c for c in able if c is not best]
    tests = [corrected_interval(found[best.id].test - found[c.id].test) for c in others]
    sure = holm([test.p for test in tests])
    tied = tuple(
        c for c, test, p in zip(others, tests, sure, strict=True) if not (p < 1 - CONFIDENCE and test.mean > 0)
    )
    return Best(level, best, found[best.id], tied, len(able), unknown)
