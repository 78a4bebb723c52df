"""What can be an objective or a constraint of a search: which way is better, and between which numbers it lies."""

from __future__ import annotations

import math
from typing import NamedTuple

from metrics.points import POINT_METRICS
from metrics.registry import spec

FLIP_METRICS = ("cfr@1", "cfr_soft@1")
"""Counterfactual gaps: need the rows moved to every group."""
LATENCY = "latency_ms"
"""Milliseconds per batch of rows, or per text of items, from the mixture model's own cost model."""


class Facts(NamedTuple):
    """``higher``: whether more is better; ``low``, ``high``: its range."""

    higher: bool
    low: float
    high: float


SHARE = Facts(higher=True, low=0.0, high=1.0)
ITEM_MEASURES = {
    "accuracy": SHARE,
    "lowest": Facts(higher=True, low=-1.0, high=1.0),
    "alignment": SHARE,
    "zone": SHARE,
    "p_right": SHARE,
}
"""Measures of items with listed answers (:mod:`llm_experts.search.books.item_book`)."""
BY_DOMAIN = "accuracy:"
"""Begins the accuracy of one domain, ``accuracy:sql``."""
SEARCHABLE = (*POINT_METRICS, *FLIP_METRICS, LATENCY)
"""Measures of rows: all that follows from margins, moved margins and the weights."""


def facts_of(measure: str) -> Facts | None:
    """Facts of a measure; None where it is no measure of a search."""
    if measure == LATENCY:
        return Facts(higher=False, low=-math.inf, high=math.inf)
    if measure in ITEM_MEASURES:
        return ITEM_MEASURES[measure]
    if measure.startswith(BY_DOMAIN) and len(measure) > len(BY_DOMAIN):
        return SHARE
    if measure not in SEARCHABLE:
        return None
    found = spec(measure)
    return Facts(found.direction == "higher", *found.range)
