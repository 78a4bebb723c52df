"""What the base says of itself against what was measured."""

from __future__ import annotations

import math

from markupsafe import Markup

from reports.discovery.figures.chart import Panel
from reports.discovery.reading import Discovery, Node, number, rows, text
from reports.figures import svg
from reports.figures.labels import Box, place_labels
from reports.format import value_text
from reports.names import BLUE, GREY

SIDE, LEFT, TOP = 330.0, 62.0, 14.0
NAME = 16


def opinion(found: Discovery) -> Markup:
    """Measured share on the horizontal axis, opinion on the vertical one: an honest base lies on the diagonal."""
    told = [row for row in rows(found.step("capability"), "domains") if not math.isnan(number(row, "share"))]
    told = [row for row in told if not math.isnan(_opinion_of(row)[0])]
    if not told:
        return Markup("")
    panel = Panel(svg.Axis(0, 1, LEFT, LEFT + SIDE), svg.Axis(0, 1, TOP + SIDE, TOP))
    parts = [panel.grid("measured share of right answers", "its own opinion")]
    parts.append(panel.curve([(0, 0), (1, 1)], GREY, stroke_dasharray="5 4", stroke_width="1.2"))
    parts += [_point(panel, row) for row in told]
    parts += _labels(panel, told)
    label = "Opinion of the base against the measured share, a mark for each domain; honest ones lie on the diagonal."
    return svg.figure(LEFT + SIDE + 14, TOP + SIDE + 36, label, parts)


def _opinion_of(row: Node) -> tuple[float, bool]:
    """What it says in words, else how surely it says yes; and whether it is the first."""
    said = number(row, "opinion")
    return (number(row, "opinion_yes"), False) if math.isnan(said) else (said, True)


def _point(panel: Panel, row: Node) -> Markup:
    value, in_words = _opinion_of(row)
    x, y = panel.x(number(row, "share")), panel.y(value)
    parts = [svg.whisker(panel.x, number(row, "low"), number(row, "high"), y, BLUE, width="1.2", opacity="0.45")]
    parts.append(svg.mark("circle" if in_words else "square", x, y, 4.5, BLUE, hollow=not in_words))
    said = f"{'says' if in_words else 'says yes with'} {value_text(value)}, measured {value_text(number(row, 'share'))}"
    return svg.group(parts, f"{text(row, 'name')}: {said}")


def _labels(panel: Panel, told: list[Node]) -> list[Markup]:
    names = [svg.shortened(text(row, "name"), NAME) for row in told]
    points = [(panel.x(number(row, "share")), panel.y(_opinion_of(row)[0])) for row in told]
    frame = Box(panel.x.middle, panel.y.middle, SIDE - 4, SIDE - 4)
    boxes = place_labels(points, [5.8 * len(n) + 4 for n in names], 12, frame, 10, [False] * len(names))
    return [svg.text(box.x, box.y + 4, name, "row", "middle") for box, name in zip(boxes, names, strict=True)]
