"""The matrix of tasks and methods: utility at the chosen limit, the best of every task and what it is not told from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from reports.answer.row import AnswerRow
from reports.answer.setting import ALL, Setting
from reports.method import Method
from reports.render.answer.cells import Cells, cells, way
from reports.summary import Report

SIGNS = {"best": "★", "open": "○"}


@dataclass(frozen=True)
class Matrix:
    """A row per task, a column per method.

    Attributes
    ----------
    methods : tuple of Method
        In the order of the table of all methods.
    rows : tuple of (str, tuple of (AnswerRow, Cells) or None)
        "all tasks" or a task's name, and a cell per method; None where it has nothing there.
    """

    methods: tuple[Method, ...]
    rows: tuple[tuple[str, tuple[tuple[AnswerRow, Cells] | None, ...]], ...]

    def sign(self, cell: tuple[AnswerRow, Cells]) -> str:
        """★ the best of the task, ○ not separable from it, ✕ on more than half of the test parts above the limit."""
        told = cell[1]
        return SIGNS.get(told.mark, "") + ("✕" if told.broken else "")

    def hint(self, cell: tuple[AnswerRow, Cells]) -> str:
        """Way, gap and share kept, for the pointer."""
        return f"{way(cell[0])}; gap {cell[1].gap}; kept {cell[1].kept}"


def matrix(report: Report) -> Matrix | None:
    """The matrix at the limit that a page opens with; None for a run without levels."""
    own = report.opening
    if own is None:
        return None
    methods = tuple(row.contender.method for row in own.main)
    settings = [replace(own.setting, task=task) for task in (ALL, *(s.name for s in report.scenarios))]
    rows = tuple((s.task or "all tasks", _cells(report, s, methods)) for s in settings if s in report.answers)
    return Matrix(methods, rows)


def _cells(report: Report, setting: Setting, methods: tuple[Method, ...]) -> tuple[tuple[AnswerRow, Cells] | None, ...]:
    own = report.answers[setting]
    known = {row.contender.method.id: (row, cells(own, row)) for row in own.main}
    return tuple(known.get(method.id) for method in methods)
