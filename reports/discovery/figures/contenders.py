"""All contenders of the final examination on the measure that decides."""

from __future__ import annotations

from markupsafe import Markup

from reports.discovery.figures.chart import around, row_name
from reports.discovery.goals import measure_words
from reports.discovery.reading import Discovery, Node, measured, rows, text, texts
from reports.discovery.winner import accepted, main_measure
from reports.figures import svg
from reports.format import interval_text, value_text
from reports.names import BLUE, GREEN, GREY, INK, ORANGE

LEFT, RIGHT, TOP, ROW = 176.0, 560.0, 12.0, 22.0
KINDS = {
    "mixture": ("diamond", BLUE), "single": ("square", ORANGE), "uniform": ("triangle", GREEN),
    "base": ("circle", GREY),
}  # fmt: skip


def contenders(found: Discovery) -> Markup:
    """A row for each, with its interval; who was refused is said beside it."""
    measure = main_measure(found)
    every = rows(found.step("examination"), "contenders")
    told = [row for row in every if measured(row, "values", measure).known]
    if not told:
        return Markup("")
    values = [measured(row, "values", measure) for row in told]
    ends = [v for one in values for v in (one.estimate, one.low, one.high)]
    axis = svg.Axis(*around(ends), LEFT, RIGHT)
    bottom = TOP + ROW * len(told)
    parts = [svg.horizontal_axis(axis, bottom, TOP, f"{measure_words(measure)} on the scenarios, 95 % intervals")]
    winner = text(found.step("examination"), "winner")
    end = "winner" if accepted(found) else "stays"
    parts += [_row(axis, row, measure, TOP + ROW * (i + 0.5), winner, end) for i, row in enumerate(told)]
    label = f"Contenders of the examination: {measure_words(measure)} with intervals; a table follows."
    return svg.figure(RIGHT + 130, bottom + 36, label, parts)


def _row(axis: svg.Axis, row: Node, measure: str, y: float, winner: str, end: str) -> Markup:
    one, name = measured(row, "values", measure), text(row, "label")
    shape, colour = KINDS.get(text(row, "kind"), KINDS["mixture"])
    won, refused = name == winner and winner != "", texts(row, "objections")
    parts = [svg.whisker(axis, one.low, one.high, y, INK, width="1.6")]
    parts.append(svg.mark(shape, axis(one.estimate), y, 4.8, colour, hollow=shape == "circle"))
    if won:
        parts.append(svg.element("circle", cx=axis(one.estimate), cy=y, r=9, class_="ring"))
    word = end if won else "refused" if refused else text(row, "kind")
    look = "head" if won else "tick warned" if refused else "tick"
    parts += [row_name(name, LEFT - 8, y + 4), svg.text(RIGHT + 12, y + 4, word, look)]
    said = f"{name}: {value_text(one.estimate)} {interval_text(one.low, one.high)}"
    return svg.group(parts, f"{said} {'; '.join(refused)}".strip())
