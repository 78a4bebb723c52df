"""How the search grew: hypervolume over generations, and what guidance did to it."""

from __future__ import annotations

import math
from itertools import pairwise

from markupsafe import Markup

from reports.discovery.figures.chart import Panel, around
from reports.discovery.reading import Discovery, Node, number, rows, text
from reports.figures import svg
from reports.format import value_text
from reports.names import BLUE, GREEN, GREY, ORANGE, VERMILLION

LEFT, RIGHT, TOP, BOTTOM = 84.0, 640.0, 34.0, 250.0
STATUS = {
    "rule": ("circle", GREY, False, "by rule"),
    "followed": ("triangle", GREEN, False, "advice followed"),
    "beaten": ("diamond", ORANGE, True, "advice beaten by the rule"),
    "malformed": ("square", VERMILLION, True, "advice not readable"),
}

Place = tuple[float, float]
"""Round and generation."""


def volume(found: Discovery) -> Markup:
    """A line for each round; marks where guidance looked at the front."""
    step = found.step("search")
    told = [r for r in rows(step, "curve") if not math.isnan(number(r, "generation") + number(r, "hypervolume"))]
    if not told:
        return Markup("")
    told.sort(key=_place)
    order = {_place(row): i + 1.0 for i, row in enumerate(told)}
    values = [number(row, "hypervolume") for row in told]
    panel = Panel(svg.Axis(0, len(told) + 1.0, LEFT, RIGHT), svg.Axis(*around(values, least=1e-4), BOTTOM, TOP))
    parts = [panel.grid("generation, all rounds", "hypervolume")]
    parts += [_turn(panel, order[_place(b)]) for a, b in pairwise(told) if _place(a)[0] != _place(b)[0]]
    for number_of in dict.fromkeys(_place(row)[0] for row in told):
        mine = [(order[_place(r)], number(r, "hypervolume")) for r in told if _place(r)[0] == number_of]
        parts.append(panel.curve(mine, BLUE))
    volumes = {_place(row): number(row, "hypervolume") for row in told}
    parts += [_mark(panel, r, order, volumes) for r in rows(step, "guidance")]
    parts.append(_keys([text(r, "status") for r in rows(step, "guidance")]))
    label = "Hypervolume of the front over generations, with the decisions of guidance."
    return svg.figure(RIGHT + 14, BOTTOM + 36, label, parts)


def _place(row: Node) -> Place:
    given = number(row, "round")
    return (1.0 if math.isnan(given) else given), number(row, "generation")


def _turn(panel: Panel, x: float) -> Markup:
    at = panel.x(x - 0.5)
    return svg.line(at, panel.y.end, at, panel.y.start, "zero") + svg.text(
        at + 4, panel.y.end + 12, "next round", "tick"
    )


def _mark(panel: Panel, row: Node, order: dict[Place, float], volumes: dict[Place, float]) -> Markup:
    place = _place(row)
    if place not in order:
        return Markup("")
    shape, colour, hollow, words = STATUS.get(text(row, "status"), STATUS["rule"])
    sign = svg.mark(shape, panel.x(order[place]), panel.y(volumes[place]), 5, colour, hollow=hollow)
    pair = ", ".join(
        f"{who} {value_text(value, 4)}"
        for who, key in (("rule", "volume_rule"), ("advice", "volume_advice"))
        if not math.isnan(value := number(row, key))
    )
    return svg.group(
        [sign], f"round {place[0]:.0f}, generation {place[1]:.0f}: {words}" + (f"; {pair}" if pair else "")
    )


def _keys(seen: list[str]) -> Markup:
    parts, x = [], LEFT + 6
    for status, (shape, colour, hollow, words) in STATUS.items():
        if status in seen:
            parts += [svg.mark(shape, x, 14, 4.5, colour, hollow=hollow), svg.text(x + 9, 18, words, "tick")]
            x += 30 + 5.6 * len(words)
    return svg.join(parts)
