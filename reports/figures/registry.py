"""Figures by id: the files of this room, and those that plug-in folders add."""

from __future__ import annotations

from foundation.discovery import items, load
from reports.figures.figure import PAGE, TASK, Figure
from reports.table import ReportError

ROOM, NAME = "reports.figures", "FIGURE"


def figures() -> dict[str, Figure]:
    """All figures by id, sorted; those of plug-in folders come last.

    Raises
    ------
    ReportError
        If one of them names a section that pages do not have.
    """
    found: dict[str, Figure] = {id: load(ROOM, NAME, id) for id in items(ROOM, NAME)}
    for id, figure in found.items():
        if figure.section not in (*PAGE, TASK):
            raise ReportError(
                f"The figure {id} stands in the section {figure.section!r}, which pages do not have. "
                f"Use one of {', '.join((*PAGE, TASK))}."
            )
    return found
