"""The table of the answer: its heads, and a row's cells as text, for the page, its script and the markdown alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reports.answer.answer import Answer
from reports.answer.row import AnswerRow
from reports.answer.setting import ALL
from reports.format import NONE, points_span, points_text, seconds_text, value_text
from reports.levels.contenders import PLAIN
from reports.render.answer.words import percent, share_interval
from reports.stats.statistics import Interval

HEADS = (
    ("Method", "", "and the way in which it keeps the limit"),
    ("Utility", "higher ▲", "mean of accuracy, F1 and AUC on test rows"),
    ("Against ★", "points", "utility minus that of the recommended method, in hundredths, with its 95 % interval"),
    ("Result gap", "lower ▼", "the bounded gap on test rows, with its 95 % interval"),
    ("Procedural gap", "lower ▼", "fair_proc on test rows; ≈: of the method's chosen model before the limit was asked"),
    ("Kept", "on test rows", "task × splits whose test gap is within the limit, of those that kept it before"),
    ("Rank", "95 %", "ranks in utility that the data cannot rule out"),
    ("Cost", "seconds", "mean over tasks, with everything that it stands on"),
    ("Group?", "must be known", "whether a row's group must be known in order to decide about it"),
)
"""(head, small print, tooltip) of the columns."""

APPROXIMATELY = "≈ "


@dataclass(frozen=True)
class Cells:
    """Texts of one row.

    Attributes
    ----------
    utility, against, verdict, gap, procedural, kept, ceiling, rank, seconds, group : str
        See ``HEADS``; ``verdict`` in words below ``against``, ``ceiling`` below ``kept``.
    note : str
        Below the method: on how many tasks it is, and how often the constant predictor stands in.
    mark : str
        "best", "open" (cannot be told from the best), or "".
    broken : bool
        Whether the limit is broken on more than half of the test parts.
    """

    utility: str
    against: str
    verdict: str
    gap: str
    procedural: str
    kept: str
    ceiling: str
    rank: str
    seconds: str
    group: str
    note: str
    mark: str
    broken: bool


def cells(answer: Answer, row: AnswerRow) -> Cells:
    """Texts of a row of an answer."""
    single = answer.setting.task != ALL
    lead, share = row.lead, row.kept
    known = share is not None and share.cells > 0
    return Cells(
        utility=_value(row.utility, single),
        against=NONE if lead is None else f"{points_text(lead.interval.mean)} {_points(lead.interval)}".strip(),
        verdict="" if lead is None else lead.verdict,
        gap=_value(row.gap, True),
        procedural=NONE if row.procedural is None else _reasons(row, row.procedural),
        kept=f"{share.kept}/{share.cells}" if share is not None and known else NONE,
        ceiling="" if share is None or not known or math.isnan(share.ceiling) else f"ceiling {percent(share.ceiling)}",
        rank=NONE if row.ranks is None else "–".join(map(str, dict.fromkeys(row.ranks))),
        seconds=seconds_text(row.seconds),
        group="yes" if row.needs_group else "no",
        note=_note(answer, row),
        mark=mark(answer, row),
        broken=row.breaks,
    )


def mark(answer: Answer, row: AnswerRow) -> str:
    """Whether a row is recommended, or cannot be told from what is."""
    if row is answer.best:
        return "best"
    return "open" if any(row is other for other in answer.open) else ""


def way(row: AnswerRow) -> str:
    """What follows a method's name; its own trained configurations are said so."""
    return "as trained" if row.contender.variant == PLAIN else row.contender.suffix


def _value(interval: Interval, spread: bool) -> str:
    ends = share_interval(interval) if spread else ""
    return f"{value_text(interval.mean)} {ends}".strip()


def _points(interval: Interval) -> str:
    return points_span(interval.low, interval.high)


def _reasons(row: AnswerRow, interval: Interval) -> str:
    return ("" if row.measured else APPROXIMATELY) + _value(interval, True)


def _note(answer: Answer, row: AnswerRow) -> str:
    parts = [f"{row.tasks} of {answer.tasks} tasks"] if row.tasks < answer.tasks else []
    parts += [f"imputed {row.imputed}/{row.cells}"] if row.imputed else []
    return ", ".join(parts)
