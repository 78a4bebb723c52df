"""Who wins: the front, the winners by fairness level, the ranks that the data cannot rule out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metrics.holm import holm
from reports.method import Method
from reports.names import DISPARITY, HEADLINE, UTILITY, larger_is_better
from reports.stats.estimate import Estimate, Key
from reports.stats.pareto import front
from reports.stats.statistics import CONFIDENCE, Floats, corrected_interval, rank_interval

ALLOWED_GAPS: tuple[float | None, ...] = (0.02, 0.05, 0.10, None)
"""Fairness levels of the overview: largest fair_res@1 allowed on validation rows; None: any."""


@dataclass(frozen=True)
class Winner:
    """Who wins at a fairness level: chosen on validation rows, told with test values.

    Attributes
    ----------
    level : float or None
        Largest validation disparity allowed; None: any.
    method : Method or None
        None when no method reaches the level on validation rows.
    kept, splits : int
        Test splits that also meet the level, of how many.
    tied, eligible : tuple of Method
        Others that reach the level; ``tied`` are those whose test utility is not surely lower.
    unknown : int
        Methods that failed, or whose gap cannot be estimated on validation rows: they are no evidence that nothing
        reaches the level.
    """

    level: float | None
    method: Method | None
    kept: int = 0
    splits: int = 0
    tied: tuple[Method, ...] = ()
    eligible: tuple[Method, ...] = ()
    unknown: int = 0


def front_members(methods: Sequence[Method], validation: Mapping[Key, Estimate]) -> frozenset[str]:
    """Pareto front on validation means; a constant predictor is fair by doing nothing and takes no place on it."""
    able = [m.id for m in methods if all((m.id, metric) in validation for metric in (UTILITY, DISPARITY))]
    able = [m for m in able if not validation[m, DISPARITY].mostly_degenerate]
    axes = (np.array([validation[m, metric].mean for m in able], dtype=np.float64) for metric in (UTILITY, DISPARITY))
    return frozenset(m for m, member in zip(able, front(*axes), strict=True) if member)


def rank_intervals(methods: Sequence[Method], values: Mapping[Key, Floats]) -> dict[Key, tuple[int, int]]:
    """(method, headline metric) → the ranks that the data cannot rule out: see :func:`rank_interval`."""
    ranks = {}
    for metric in HEADLINE:
        known = {m.id: values[m.id, metric] for m in methods if (m.id, metric) in values}
        known = {m: v for m, v in known.items() if not np.isnan(v).all()}
        for method, own in known.items():
            others = [v for m, v in known.items() if m != method]
            ranks[method, metric] = rank_interval(own, others, larger_is_better(metric))
    return ranks


def winner(
    level: float | None,
    methods: Sequence[Method],
    values: Mapping[Key, Floats],
    validation: Mapping[Key, Estimate],
) -> Winner:
    """The winner at a fairness level; a constant predictor is never eligible.

    Parameters
    ----------
    level : float or None
        Largest ``fair_res@1`` allowed on validation rows; None: any.
    methods : sequence of Method
        In the order of the suite: from the mixture to the plain baselines.
    values : mapping
        (method, metric) → test values by split.
    validation : mapping
        (method, metric) → validation estimate.
    """
    eligible = [m for m in methods if _reaches(level, m.id, validation)]
    unknown = sum(not _measured(m.id, validation) for m in methods)
    if not eligible:
        return Winner(level, None, unknown=unknown)
    # ties go to the simpler method, which stands later in the suite
    best = max(reversed(eligible), key=lambda m: validation[m.id, UTILITY].mean)
    others = [m for m in eligible if m is not best]
    tests = [corrected_interval(values[best.id, UTILITY] - values[m.id, UTILITY]) for m in others]
    sure = holm([test.p for test in tests])
    tied = [m for m, test, p in zip(others, tests, sure, strict=True) if not (p < 1 - CONFIDENCE and test.mean > 0)]
    reached = values[best.id, DISPARITY]
    kept = int((reached <= (math.inf if level is None else level)).sum())
    return Winner(level, best, kept, int((~np.isnan(reached)).sum()), tuple(tied), tuple(eligible), unknown)


def _measured(method: str, validation: Mapping[Key, Estimate]) -> bool:
    """Whether utility and gap of a method are known on validation rows."""
    found = [validation.get((method, metric)) for metric in (UTILITY, DISPARITY)]
    return all(estimate is not None and not math.isnan(estimate.mean) for estimate in found)


def _reaches(level: float | None, method: str, validation: Mapping[Key, Estimate]) -> bool:
    utility, disparity = validation.get((method, UTILITY)), validation.get((method, DISPARITY))
    if utility is None or disparity is None or disparity.mostly_degenerate or math.isnan(utility.mean):
        return False
    return disparity.mean <= (math.inf if level is None else level)
