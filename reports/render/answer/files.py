"""The answers to all questions as one table, ``tables/answer.csv``: what the page shows and what it has no room for."""

from __future__ import annotations

import math

from reports.answer.answer import Answer
from reports.answer.row import AnswerRow
from reports.render.answer.cells import HEADS, cells, mark, way
from reports.render.answer.words import limit_words, where_words
from reports.render.file_table import Table, Value
from reports.stats.statistics import Interval
from reports.summary import Report

COLUMNS = (
    "gap", "level", "task", "method", "variant", "stands_for_method", "mark", "tasks", "utility", "utility_low",
    "utility_high", "against", "against_low", "against_high", "p_holm", "verdict", "bounded_gap", "bounded_gap_low",
    "bounded_gap_high", "fair_proc", "fair_proc_low", "fair_proc_high", "fair_proc_of", "kept", "kept_of",
    "kept_ceiling", "imputed", "imputed_of", "rank_first", "rank_last", "seconds", "knows_group", "choosing_utility",
)  # fmt: skip
"""``task`` is empty for all tasks together; ``against`` is utility minus the recommended method's; ``mark`` is "best"
for it and "open" for what cannot be told from it; ``fair_proc_of`` is "model" or, where that was not measured,
"chosen"; ``choosing_utility`` is the utility on the rows that choose."""


def answer_tables(report: Report) -> list[Table]:
    """The table of all answers; none for a run without levels."""
    own = report.opening
    if own is None:
        return []
    rows = tuple(_record(answer, row) for answer in report.answers.values() for row in answer.rows)
    lines = tuple(_line(own, row) for row in own.main)
    caption = (
        f"All methods at {limit_words(own)}, {where_words(own)}. Star: recommended; circle: not separable from it."
    )
    heads = tuple(head.replace("★", "best") for head, _, _ in HEADS)
    return [Table("answer", caption, COLUMNS, rows, heads, lines)]


def _record(answer: Answer, row: AnswerRow) -> tuple[Value, ...]:
    lead, kept = row.lead, row.kept
    nothing = (math.nan,) * 3
    difference = nothing if lead is None else _ends(lead.interval)
    return (
        answer.setting.gap, answer.setting.level, answer.setting.task, *row.contender.id, int(row.main),
        mark(answer, row), row.tasks, *_ends(row.utility), *difference, math.nan if lead is None else lead.p_holm,
        "" if lead is None else lead.verdict, *_ends(row.gap),
        *(nothing if row.procedural is None else _ends(row.procedural)),
        "" if row.procedural is None else "model" if row.measured else "chosen",
        *(("", "", math.nan) if kept is None else (kept.kept, kept.cells, kept.ceiling)), row.imputed, row.cells,
        *(("", "") if row.ranks is None else row.ranks), row.seconds, int(row.needs_group), row.worth,
    )  # fmt: skip


def _ends(interval: Interval) -> tuple[float, float, float]:
    return interval.mean, interval.low, interval.high


def _line(answer: Answer, row: AnswerRow) -> tuple[str, ...]:
    told = cells(answer, row)
    sign = {"best": "* ", "open": "o "}.get(told.mark, "")
    name = f"{sign}{row.contender.method.label} {way(row)}"
    return (name, told.utility, told.against, told.gap, told.procedural, told.kept, told.rank, told.seconds, told.group)
