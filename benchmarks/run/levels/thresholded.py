"""The variant "thresholds": a method's chosen model with group thresholds from validation rows and their labels."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.run.levels.allowed import Allowed
from benchmarks.run.levels.choice import Choice, Variant
from benchmarks.run.levels.part import Part
from metrics.thresholds import fit_thresholds


def thresholded(chosen: Choice, part: Part, test: Part, allowed: Sequence[Allowed]) -> Variant:
    """Thresholds on the rows of ``part``, applied to test rows."""
    found: dict[Allowed, Choice | None] = {}
    for gap in dict.fromkeys(demand.gap for demand in allowed):
        own = [demand for demand in allowed if demand.gap == gap]
        limits = [demand.limit for demand in own]
        fitted = fit_thresholds(chosen.seen, part.labels, part.groups, part.n_groups, limits, gap=gap)
        for demand, cuts in zip(own, fitted, strict=True):
            found[demand] = None
            if cuts is not None:
                found[demand] = Choice(cuts.apply(chosen.seen, part.groups), cuts.apply(chosen.test, test.groups), cuts)
    return Variant("thresholds", part, found)
