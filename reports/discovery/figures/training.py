"""How experts learnt: accuracy, alignment, drift and the coefficient that holds it, a row for each expert."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from reports.discovery.figures.chart import Panel, around, row_name
from reports.discovery.reading import Discovery, Node, number, rows, text, truth
from reports.figures import svg
from reports.format import value_text
from reports.names import BLUE, GREEN, ORANGE, PURPLE, VERMILLION

LEFT, TOP = 130.0, 42.0
WIDTH, HEIGHT, ACROSS, DOWN = 186.0, 84.0, 48.0, 26.0
COLUMNS = {"accuracy": BLUE, "alignment": GREEN, "drift": ORANGE, "beta": PURPLE}
HEADS = {
    "accuracy": ("accuracy", "band: 95 %, dashed: target, ring: kept"),
    "alignment": ("alignment", "dashed: floor"),
    "drift": ("drift from the base", "nats a token"),
    "beta": ("weight of the drift (β)", ""),
}


def training(found: Discovery) -> Markup:
    """Four panels an expert, over steps; columns share their axes."""
    told = [row for row in rows(found.step("training"), "experts") if rows(row, "curve")]
    if not told:
        return Markup("")
    floor = floor_of(found)
    last = max([1.0, *(number(p, "step") for row in told for p in rows(row, "curve") if number(p, "step") > 0)])
    ranges = {column: _range(told, column, floor) for column in COLUMNS}
    has_floor = not math.isnan(floor) or any(not math.isnan(number(row, "floor")) for row in told)
    parts = [_head(column, k, column != "alignment" or has_floor) for k, column in enumerate(COLUMNS)]
    for i, row in enumerate(told):
        y = TOP + (HEIGHT + DOWN) * i
        parts.append(row_name(text(row, "name"), LEFT - 44, y + HEIGHT / 2, 14))
        parts += [_panel(row, column, k, y, last, ranges[column], floor) for k, column in enumerate(COLUMNS)]
        if text(row, "stopped"):
            parts.append(_stopped(row, y))
    width = LEFT + (WIDTH + ACROSS) * len(COLUMNS) - ACROSS + 12
    label = "Training curves: accuracy with its target, alignment with its floor, drift and its weight, by expert."
    return svg.figure(width, TOP + (HEIGHT + DOWN) * len(told) + 14, label, parts)


def floor_of(found: Discovery) -> float:
    """The alignment floor: told with the results, else in the settings; nan where nobody tells it."""
    places = ((found.step("training"), ("floor",)), (found.top, ("settings", "training", "floor")),
              (found.top, ("settings", "floor")))  # fmt: skip
    return next((value for node, path in places if not math.isnan(value := number(node, *path))), math.nan)


def _range(told: Sequence[Node], column: str, floor: float) -> tuple[float, float]:
    values = [number(p, column) for row in told for p in rows(row, "curve")]
    if column in ("drift", "beta"):
        return around([0.0, *values], least=0.005, floor=0.0)
    if column == "alignment":
        return around([*values, floor, *(number(row, "floor") for row in told)], floor=0.0, top=1.0)
    ends = [number(p, key) for row in told for p in rows(row, "curve") for key in ("low", "high")]
    return around([*values, *ends, *(number(row, "target") for row in told)], floor=0.0, top=1.0)


def _head(column: str, k: int, explained: bool) -> Markup:
    x, (head, small) = LEFT + (WIDTH + ACROSS) * k, HEADS[column]
    return svg.text(x, 14, head, "head") + svg.text(x, 28, small if explained else "", "tick")


def _panel(row: Node, column: str, k: int, y: float, last: float, limits: tuple[float, float], floor: float) -> Markup:
    x = LEFT + (WIDTH + ACROSS) * k
    panel = Panel(svg.Axis(0, last, x, x + WIDTH), svg.Axis(*limits, y + HEIGHT, y))
    curve, colour = rows(row, "curve"), COLUMNS[column]
    points = [(number(p, "step"), number(p, column)) for p in curve]
    parts = [panel.grid("", "", (3, 3))]
    if column == "accuracy":
        parts.append(panel.band([(number(p, "step"), number(p, "low"), number(p, "high")) for p in curve], colour))
        parts.append(panel.level(number(row, "target"), VERMILLION))
    if column == "alignment":
        own = number(row, "floor")
        parts.append(panel.level(floor if math.isnan(own) else own, VERMILLION))
    parts.append(panel.curve(points, colour))
    parts += [svg.element("circle", cx=panel.x(a), cy=panel.y(b), r=2, fill=colour)
              for a, b in points if not math.isnan(a + b)]  # fmt: skip
    if column == "accuracy":
        parts.append(_kept(panel, row, points))
    return svg.join(parts)


def _kept(panel: Panel, row: Node, points: Sequence[tuple[float, float]]) -> Markup:
    kept = number(row, "best_step")
    for step, value in points:
        if step == kept and not math.isnan(value):
            ring = svg.element("circle", cx=panel.x(step), cy=panel.y(value), r=6, class_="ring")
            return svg.group([ring], f"kept: step {kept:.0f}, accuracy {value_text(value)}")
    return Markup("")


def _stopped(row: Node, y: float) -> Markup:
    given_up = truth(row, "given_up") is True
    word, look = ("given up", "tick warned") if given_up else ("ended early", "tick")
    sign = svg.text(LEFT - 44, y + HEIGHT / 2 + 15, word, look, "end")
    return svg.group([sign], text(row, "stopped"))
