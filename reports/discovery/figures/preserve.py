"""What had to stay: difference to the base against the margin that was stated beforehand."""

from __future__ import annotations

import math

from markupsafe import Markup

from reports.discovery.figures.chart import around, row_name
from reports.discovery.reading import Discovery, Node, number, rows, text, truth
from reports.figures import svg
from reports.format import interval_text, signed, value_text
from reports.names import BLUE, VERMILLION

LEFT, RIGHT, TOP, ROW = 176.0, 560.0, 26.0, 26.0


def preserve(found: Discovery) -> Markup:
    """A row for each task: its interval has to stay right of its own margin, the vermillion bar."""
    told = [r for r in rows(found.step("preserve"), "tasks") if not math.isnan(_of_margin(r, "difference"))]
    if not told:
        return Markup("")
    ends = [_of_margin(row, key) for row in told for key in ("difference", "low", "high")]
    low, high = around([*ends, -1.0, 0.5], least=0.1)
    axis = svg.Axis(max(low, -6.0), min(high, 6.0), LEFT, RIGHT)
    bottom = TOP + ROW * len(told)
    parts = [svg.horizontal_axis(axis, bottom, TOP, "change, in margins (better ▶)", signed=True)]
    parts += [svg.line(axis(0), TOP, axis(0), bottom, "zero"), svg.text(axis(0), 18, "no change", "tick", "middle")]
    parts += [_margin(axis(-1), bottom), *(_row(axis, row, TOP + ROW * (i + 0.5)) for i, row in enumerate(told))]
    label = "Tasks that had to stay: change with its interval against the margin stated beforehand; a table follows."
    return svg.figure(RIGHT + 130, bottom + 36, label, parts)


def _of_margin(row: Node, key: str) -> float:
    """A difference in units of the task's margin, so that tasks of all units share an axis; better is positive."""
    margin = number(row, "margin")
    return number(row, key) / abs(margin) if margin else math.nan


def _margin(x: float, bottom: float) -> Markup:
    d = f"M{svg.number(x)} {svg.number(TOP)}V{svg.number(bottom)}"
    path = svg.element("path", d=d, stroke=VERMILLION, stroke_width="1.6", stroke_dasharray="5 3")
    return path + svg.text(x, 18, "margin", "tick warned", "middle")


def _row(axis: svg.Axis, row: Node, y: float) -> Markup:
    kept = truth(row, "preserved")
    colour = VERMILLION if kept is False else BLUE
    shape = "diamond" if kept is False else "circle"
    parts = [row_name(text(row, "name"), LEFT - 8, y + 4)]
    parts.append(svg.whisker(axis, _of_margin(row, "low"), _of_margin(row, "high"), y, colour, width="1.8"))
    parts.append(svg.mark(shape, axis(_of_margin(row, "difference")), y, 4.8, colour))
    word = {True: "kept", False: "not shown to be kept", None: "nothing to lose"}[kept]
    parts.append(svg.text(RIGHT + 8, y + 4, word, "tick warned" if kept is False else "tick"))
    span = interval_text(number(row, "low"), number(row, "high"))
    said = f"{signed(number(row, 'difference'))} {span}, margin {value_text(number(row, 'margin'))}"
    return svg.group(parts, f"{text(row, 'name')}: {said}")
