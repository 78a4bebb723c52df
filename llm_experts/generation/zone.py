"""Whether a set is as hard as learning needs: the mean probability of a right answer, judged on the set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

from metrics.proportions import Z

ZONE = (0.70, 0.80)


@dataclass(frozen=True)
class Zone:
    """Mean probability of a right answer over a set.

    Attributes
    ----------
    mean, low, high : float or None
        With the normal 95 % interval of a mean; None without items (the interval: without two).
    inside : bool
        Whether the mean lies in the zone.
    """

    mean: float | None
    low: float | None
    high: float | None
    inside: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Zone:
        """The inverse of :meth:`as_dict`."""
        return cls(**given)


def zone_of(p: Sequence[float], zone: tuple[float, float] = ZONE) -> Zone:
    """The learning zone of a set from its items' probabilities; those that are nan (not measured) are left out."""
    known = [value for value in p if not math.isnan(value)]
    if not known:
        return Zone(None, None, None, False)
    mean = fmean(known)
    inside = zone[0] <= mean <= zone[1]
    if len(known) < 2:
        return Zone(mean, None, None, inside)
    half = Z * stdev(known) / math.sqrt(len(known))
    return Zone(mean, max(0.0, mean - half), min(1.0, mean + half), inside)
