"""What is asked: which gap may be how large, on which task."""

from __future__ import annotations

from dataclasses import dataclass

from reports.levels.reached import LEVELS
from reports.names import DISPARITY

ALL = ""
"""Place of a question about all tasks together."""

DEFAULT_LEVEL = "0.05"


@dataclass(frozen=True)
class Setting:
    """A question.

    Attributes
    ----------
    gap, level : str
        The bounded metric, and a level of the table ``levels`` (see ``reports.table.FURTHER``).
    task : str
        Name of a task of the report; "" for all of them together.
    """

    gap: str = DISPARITY
    level: str = DEFAULT_LEVEL
    task: str = ALL


def first(settings: list[Setting]) -> Setting:
    """The question that a page opens with: the main gap at the default level over all tasks, or what is nearest."""
    wanted = Setting()
    order = {level: place for place, level in enumerate(LEVELS)}
    return min(
        settings,
        key=lambda s: (s.task != ALL, s.gap != wanted.gap, s.level != wanted.level, order.get(s.level, len(order))),
    )
