"""Priorities of experts: which of several that fit goes first."""

from __future__ import annotations

from collections.abc import Sequence

from serving.router.policy import Verdict
from serving.router.profile import ExpertProfile
from serving.router.query import Query

SPAN = 2.0
"""Log-odds between the priorities 0 and 1; 0.5 changes nothing."""


class PriorityPolicy:
    """Shifts candidates by ``2 * (priority - 0.5)``; a priority never makes an expert a candidate."""

    name = "priority"

    def __init__(self, profiles: Sequence[ExpertProfile]) -> None:
        shifts = {one.name: SPAN * (one.priority - 0.5) for one in profiles if one.priority != 0.5}
        self._verdict = Verdict(shifts=shifts)

    def scores(self, query: Query) -> Verdict:
        """The same for every prompt."""
        del query
        return self._verdict
