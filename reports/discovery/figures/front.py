"""The mixtures that were searched, on two objectives: which keep the constraints, which nothing beats, which won."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.discovery.figures.chart import Panel, around
from reports.discovery.goals import Goal, constraints, objectives
from reports.discovery.reading import Discovery, Node, items, number, rows, text
from reports.discovery.winner import accepted, same_weights, winner_row
from reports.figures import svg
from reports.format import value_text
from reports.names import BLUE, GREEN, GREY, INK, ORANGE, VERMILLION

LEFT, RIGHT, TOP, BOTTOM = 66.0, 520.0, 52.0, 340.0
KINDS = {"base": ("circle", GREY, True), "single": ("square", ORANGE, False), "uniform": ("triangle", GREEN, False)}


@dataclass(frozen=True)
class _Axes:
    """The two objectives that are drawn."""

    across: Goal
    up: Goal


def front(found: Discovery) -> Markup:
    """Candidates on the first two objectives, on the items of the search."""
    step = found.step("search")
    goals = objectives(step)[:2]
    if len(goals) < 2:
        return Markup("")
    axes = _Axes(goals[1], goals[0])
    told = [row for row in rows(step, "candidates") if not math.isnan(sum(_at(row, axes)))]
    if not told:
        return Markup("")
    limits = [one for one in constraints(step) if one.measure in (axes.up.measure, axes.across.measure)]
    points = [_at(row, axes) for row in told]
    panel = Panel(
        svg.Axis(*around([x for x, _ in points] + _bounds(limits, axes.across)), LEFT, RIGHT),
        svg.Axis(*around([y for _, y in points] + _bounds(limits, axes.up)), BOTTOM, TOP),
    )
    parts = [panel.grid(axes.across.words("▶", "◀"), axes.up.words("▶", "◀"))]
    parts += [_limit(panel, one, axes) for one in limits]
    parts.append(_line(panel, [row for row in told if row.get("on_front") is True], axes))
    parts += [_candidate(panel, row, axes) for row in sorted(told, key=_importance)]
    parts += [_winner(panel, found, told, axes), _keys()]
    label = f"Candidates of the search: {axes.up.measure} against {axes.across.measure}; the winner is ringed."
    return svg.figure(RIGHT + 14, BOTTOM + 36, label, parts)


def _at(row: Node, axes: _Axes) -> tuple[float, float]:
    return number(row, "values", axes.across.measure), number(row, "values", axes.up.measure)


def _bounds(limits: Sequence[Goal], goal: Goal) -> list[float]:
    return [one.bound for one in limits if one.measure == goal.measure]


def _importance(row: Node) -> int:
    """What is drawn later lies above."""
    return 2 if text(row, "kind") in KINDS else int(row.get("on_front") is True)


def _limit(panel: Panel, limit: Goal, axes: _Axes) -> Markup:
    """The bound as a dashed line; what breaks it is shaded."""
    below = limit.relation.startswith(">")
    across = limit.measure == axes.across.measure
    axis = panel.x if across else panel.y
    bound, end = axis(limit.bound), axis.start if below else axis.end
    left, top, right, bottom = (
        (min(bound, end), panel.y.end, max(bound, end), panel.y.start) if across
        else (panel.x.start, min(bound, end), panel.x.end, max(bound, end))
    )  # fmt: skip
    shade = svg.rect(left, top, right - left, bottom - top, fill=VERMILLION, fill_opacity="0.09")
    line = (
        f"M{svg.number(bound)} {svg.number(top)}V{svg.number(bottom)}"
        if across
        else f"M{svg.number(left)} {svg.number(bound)}H{svg.number(right)}"
    )
    path = svg.element("path", d=line, stroke=VERMILLION, stroke_dasharray="5 3", stroke_width="1.4")
    return svg.group([shade, path], f"constraint: {limit.measure} {limit.relation} {value_text(limit.bound)}")


def _line(panel: Panel, best: Sequence[Node], axes: _Axes) -> Markup:
    """Through those of the front that nothing beats on the two axes that are drawn; a search may have had more."""
    across, up = (-1.0 if goal.relation == "minimise" else 1.0 for goal in (axes.across, axes.up))
    points: list[tuple[float, float]] = []
    for x, y in sorted((_at(row, axes) for row in best), key=lambda p: (-across * p[0], -up * p[1])):
        if not points or up * y > up * points[-1][1]:
            points.append((x, y))
    return panel.curve(points, INK, stroke_dasharray="5 4", stroke_width="1.3") if len(points) > 1 else Markup("")


def _candidate(panel: Panel, row: Node, axes: _Axes) -> Markup:
    x, y = _at(row, axes)
    kind = text(row, "kind")
    said = ", ".join(f"{name} {value_text(number(row, 'alphas', name), 2)}" for name, _ in items(row, "alphas"))
    said = f"{kind or 'mixture'} ({said}): {axes.up.measure} {value_text(y)}, {axes.across.measure} {value_text(x)}"
    return svg.group([_sign(panel.x(x), panel.y(y), kind, row)], said)


def _sign(x: float, y: float, kind: str, row: Node) -> Markup:
    if kind in KINDS:
        shape, colour, hollow = KINDS[kind]
        return svg.mark(shape, x, y, 5, colour, hollow=hollow)
    if row.get("feasible") is False:
        return _cross(x, y)
    best = row.get("on_front") is True
    return svg.mark("circle", x, y, 4.2 if best else 2.8, BLUE if best else "#8c8c8c")


def _cross(x: float, y: float, size: float = 3.2) -> Markup:
    a, b, c, d = (svg.number(v) for v in (x - size, y - size, x + size, y + size))
    return svg.element("path", d=f"M{a} {b}L{c} {d}M{a} {d}L{c} {b}", stroke=VERMILLION, stroke_width="1.6")


def _winner(panel: Panel, found: Discovery, told: Sequence[Node], axes: _Axes) -> Markup:
    """A ring around the candidate with the winner's weights."""
    won = winner_row(found)
    if won is None or not accepted(found):
        return Markup("")
    for row in told:
        if same_weights(row, won):
            x, y = (axis(value) for axis, value in zip((panel.x, panel.y), _at(row, axes), strict=True))
            ring = svg.element("circle", cx=x, cy=y, r=9.5, class_="ring")
            return svg.group([ring, svg.mark("diamond", x, y, 5, BLUE)], f"{text(won, 'label')}: the winner")
    return Markup("")


def _keys() -> Markup:
    signs = [
        (svg.mark("circle", 0, 0, 4.2, BLUE), "on the front"),
        (svg.mark("circle", 0, 0, 2.8, "#8c8c8c"), "beaten"),
        (_cross(0, 0), "breaks a constraint"),
        (svg.element("circle", cx=0, cy=0, r=7, class_="ring") + svg.mark("diamond", 0, 0, 4, BLUE), "winner"),
        *((svg.mark(shape, 0, 0, 5, colour, hollow=hollow), kind) for kind, (shape, colour, hollow) in KINDS.items()),
    ]
    parts = []
    for k, (sign, word) in enumerate(signs):
        x, y = LEFT + 8 + 132 * (k % 4), 12 + 18 * (k // 4)
        parts.append(svg.group([sign, svg.text(12, 4, word, "tick")], transform=f"translate({svg.number(x)} {y})"))
    return svg.join(parts)
