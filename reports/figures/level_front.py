"""Utility against the gap on test rows at every limit, over all tasks: the recommended method and the next ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from markupsafe import Markup

from reports.answer.answer import Answer
from reports.answer.row import AnswerRow
from reports.figures import svg
from reports.figures.figure import Figure
from reports.format import value_text
from reports.levels.contenders import Contender
from reports.levels.reached import FIXED
from reports.names import BLUE, GREEN, INK, ORANGE, VERMILLION
from reports.summary import Report

STYLES = (("circle", BLUE), ("square", INK), ("diamond", VERMILLION), ("triangle", GREEN), ("star", ORANGE))
"""(shape, colour) of the lines, so that none depends on colour alone."""

WIDTH, BOTTOM, TOP, LEFT = 620.0, 330.0, 10.0, 52.0


@dataclass(frozen=True)
class Point:
    """A contender at one limit: gap and utility on test rows with half-lengths of their intervals, nan without."""

    level: str
    gap: float
    gap_half: float
    utility: float
    utility_half: float


def shown(report: Report) -> tuple[Contender, ...]:
    """Contenders of the figure: the first few that may be recommended at the limit that a page opens with."""
    own = report.opening
    if own is None or own.best is None:
        return ()
    able = [row.contender for row in own.main if row.tasks == own.tasks and 2 * row.imputed < row.cells]
    return tuple(able[: len(STYLES)])


def level_front(report: Report) -> Markup:
    """The figure; empty for a run without levels."""
    own = report.opening
    lines = [(c, points) for c in shown(report) if own is not None and (points := _points(report, own, c))]
    if not lines:
        return Markup("")
    every = [p for _, points in lines for p in points]
    across = svg.Axis(0.0, 1.05 * max(p.gap for p in every), LEFT, WIDTH - 10)
    low, high = min(p.utility for p in every), max(p.utility for p in every)
    pad = 0.08 * max(high - low, 0.02)
    up = svg.Axis(low - pad, high + pad, BOTTOM, TOP)
    ticks = up.ticks(5)
    parts = [svg.line(LEFT, up(t), WIDTH - 10, up(t), "grid") for t in ticks]
    parts += [svg.text(LEFT - 5, up(t) + 4, svg.tick_label(t, ticks), "tick", "end") for t in ticks]
    parts.append(svg.horizontal_axis(across, BOTTOM, TOP, "gap on test rows, mean over tasks (left is fairer)"))
    for (contender, points), (shape, colour) in zip(lines, STYLES, strict=False):
        parts.append(_line(contender, points, across, up, shape, colour))
    words = "; ".join(f"{c.label}: " + ", ".join(map(_words, points)) for c, points in lines)
    return svg.figure(WIDTH, BOTTOM + 36, f"Utility against the gap on test rows. {words}.", parts)


def line_mark(place: int) -> Markup:
    """The mark of a line, for the legend."""
    shape, colour = STYLES[place]
    mark = svg.mark(shape, 8, 8, 5, colour)
    return svg.element("svg", mark, viewBox="0 0 16 16", width=14, height=14, aria_hidden="true", class_="mark")


def _points(report: Report, own: Answer, contender: Contender) -> list[Point]:
    found = []
    for level in FIXED:
        answer = report.answers.get(replace(own.setting, level=level))
        row = next((row for row in answer.rows if row.contender == contender), None) if answer else None
        if row is not None and not math.isnan(row.gap.mean) and not math.isnan(row.utility.mean):
            found.append(_point(level, row))
    return found


def _point(level: str, row: AnswerRow) -> Point:
    lead = math.nan if row.lead is None else row.lead.interval.half
    return Point(level, row.gap.mean, row.gap.half, row.utility.mean, lead)


def _line(contender: Contender, points: list[Point], across: svg.Axis, up: svg.Axis, shape: str, colour: str) -> Markup:
    path = "M" + "L".join(f"{svg.number(across(p.gap))} {svg.number(up(p.utility))}" for p in points)
    parts = [svg.element("path", d=path, fill="none", stroke=colour, stroke_width="1.3")]
    for p in points:
        x, y = across(p.gap), up(p.utility)
        bars = []
        if not math.isnan(p.gap_half):
            bars.append(
                f"M{svg.number(across(p.gap - p.gap_half))} {svg.number(y)}H{svg.number(across(p.gap + p.gap_half))}"
            )
        if not math.isnan(p.utility_half):
            ends = up(p.utility - p.utility_half), up(p.utility + p.utility_half)
            bars.append(f"M{svg.number(x)} {svg.number(ends[0])}V{svg.number(ends[1])}")
        marks = [svg.element("path", d=d, stroke=colour, class_="bar") for d in bars]
        marks.append(svg.mark(shape, x, y, 4.6, colour))
        parts.append(svg.group(marks, f"{contender.label}, {_words(p)}"))
    return svg.join(parts)


def _words(point: Point) -> str:
    limit = "any gap" if point.level == "any" else f"≤ {point.level}"
    return f"{limit}: utility {value_text(point.utility)}, gap {value_text(point.gap)}"


FIGURE = Figure("Utility against the gap at every limit", "answer", level_front, placed=True)
