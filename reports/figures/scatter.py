"""Utility against the result gap, the picture of a task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from reports.figures import svg
from reports.figures.figure import Figure
from reports.figures.labels import Box, place_labels
from reports.figures.marks import marker
from reports.format import value_text
from reports.method import Method
from reports.names import DISPARITY, UTILITY
from reports.scenario import Scenario, Section
from reports.stats.estimate import Estimate
from reports.stats.pareto import front

AREA = Box(254, 177, 396, 314)  # where points may lie
LEFT, RIGHT = AREA.x - AREA.width / 2, AREA.x + AREA.width / 2
TOP, BOTTOM = AREA.y - AREA.height / 2, AREA.y + AREA.height / 2
LINE_HEIGHT, DIGIT_WIDTH, MARK_SIDE = 13.0, 8.0, 12.0


@dataclass(frozen=True)
class Point:
    """A method in the plane, in pixels; ``arrow`` points to where it really is when that is off the scale."""

    method: Method
    utility: Estimate
    disparity: Estimate
    x: float
    y: float
    arrow: str
    ringed: bool

    @property
    def label(self) -> str:
        """Number of the method, and the arrow."""
        return f"{self.method.number}{self.arrow}"

    @property
    def classes(self) -> str:
        """What the page's filter hides it by."""
        return f"of-{self.method.kind}{' secondary' if self.method.secondary else ''}"

    @property
    def hint(self) -> str:
        """Words for the pointer."""
        values = f"utility {value_text(self.utility.mean)}, result gap {value_text(self.disparity.mean)}"
        return f"{self.label} {self.method.label}: {values}{' (off the scale)' if self.arrow else ''}"


def scatter(scenario: Scenario, section: Section | None = None) -> Markup:
    """Utility against the result gap on test rows, with intervals over splits and the validation-chosen front.

    The front that test values themselves would choose is there as a faint line, an oracle that nobody can follow.

    With a section, only its methods are marked; the others are small grey dots on the same axes, so that the panels
    of a task can be laid over each other in the mind.
    """
    known = [m for m in scenario.methods if _drawable(scenario, m)]
    if not known:
        return Markup("")
    x_axis, y_axis = _axes(scenario, known)
    every = [_point(scenario, m, x_axis, y_axis) for m in known]
    points = [p for p in every if section is None or p.method in section.methods]
    others = [p for p in every if p not in points]
    parts = [_frame(x_axis, y_axis), _oracle(scenario, every), *(_ghost(p) for p in others)]
    parts += [_cross(p, x_axis, y_axis) for p in points]
    parts.append(_front_line(scenario, every))
    parts += [_spot(point, box) for point, box in zip(points, _label_boxes(points), strict=True)]
    members = ", ".join(p.method.label for p in points if p.ringed) or "none"
    where = "" if section is None else f", {section.title[0].lower()}{section.title[1:]}"
    label = f"Utility against result gap on {scenario.name}{where}; on the front: {members}. The table has the numbers."
    return svg.figure(460, 378, label, parts)


def _ghost(point: Point) -> Markup:
    """A method of another panel."""
    dot = svg.element("circle", cx=point.x, cy=point.y, r=2.4, class_="ghost")
    return svg.group([dot], f"{point.hint}, in another panel")


def _drawable(scenario: Scenario, method: Method) -> bool:
    values = [scenario.estimate(method.id, metric) for metric in (UTILITY, DISPARITY)]
    return all(v is not None and not math.isnan(v.mean) for v in values)


def _axes(scenario: Scenario, known: Sequence[Method]) -> tuple[svg.Axis, svg.Axis]:
    """Axes for the methods that learnt something; a constant one or an untrained base is drawn at the edge."""
    able = [m for m in known if not scenario.degenerate(m.id) and not m.row.untrained] or list(known)
    x_low, x_high = _range([scenario.test[m.id, DISPARITY] for m in able])
    y_low, y_high = _range([scenario.test[m.id, UTILITY] for m in able])
    # a gap cannot be negative: the axis ends just below 0, so that a mark at 0 is whole; and 0 is worth showing if near
    x_low = x_low if x_low > 0.4 * x_high else -0.03 * x_high
    return svg.Axis(x_low, x_high, LEFT, RIGHT), svg.Axis(y_low, y_high, BOTTOM, TOP)


def _range(estimates: Sequence[Estimate]) -> tuple[float, float]:
    """Room for the points and for typical error bars, but never so much that the points become a blot."""
    low, high = min(e.mean for e in estimates), max(e.mean for e in estimates)
    halves = [e.half for e in estimates if not math.isnan(e.half)]
    room = min(float(np.median(halves)) if halves else 0.0, 0.35 * max(high - low, 0.01))
    pad = max(0.12 * (high - low), 0.006) + room
    return low - pad, high + pad


def _point(scenario: Scenario, method: Method, x_axis: svg.Axis, y_axis: svg.Axis) -> Point:
    utility, disparity = scenario.test[method.id, UTILITY], scenario.test[method.id, DISPARITY]
    arrow = y_axis.beyond(utility.mean, "▼", "▲") or x_axis.beyond(disparity.mean, "◀", "▶")
    ringed = method.id in scenario.on_front
    return Point(method, utility, disparity, x_axis(disparity.mean), y_axis(utility.mean), arrow, ringed)


def _label_boxes(points: Sequence[Point]) -> list[Box]:
    places = [(p.x, p.y) for p in points]
    widths = [DIGIT_WIDTH * len(p.label) + 2 for p in points]
    return place_labels(places, widths, LINE_HEIGHT, AREA, MARK_SIDE, [p.ringed for p in points])


def _frame(x_axis: svg.Axis, y_axis: svg.Axis) -> Markup:
    ticks = y_axis.ticks(5)
    turn = f"translate(11 {svg.number(AREA.y)}) rotate(-90)"
    return svg.join([
        svg.horizontal_axis(x_axis, BOTTOM, TOP, "result gap, fair_res@1  (◀ fairer)", about=5),
        *(svg.line(LEFT, y_axis(t), RIGHT, y_axis(t), "grid") for t in ticks),
        *(svg.text(LEFT - 5, y_axis(t) + 4, svg.tick_label(t, ticks), "tick", "end") for t in ticks),
        svg.element("text", "utility@1  (better ▶)", transform=turn, class_="axis", text_anchor="middle"),
        svg.rect(LEFT, TOP, AREA.width, AREA.height, class_="frame"),
    ])  # fmt: skip


def _cross(point: Point, x_axis: svg.Axis, y_axis: svg.Axis) -> Markup:
    """Error bars over splits, cut at the frame."""
    path = ""
    if not math.isnan(point.disparity.half) and y_axis.holds(point.utility.mean):
        ends = [svg.number(x_axis(v)) for v in (point.disparity.low, point.disparity.high)]
        path += f"M{ends[0]} {svg.number(point.y)}H{ends[1]}"
    if not math.isnan(point.utility.half) and x_axis.holds(point.disparity.mean):
        ends = [svg.number(y_axis(v)) for v in (point.utility.low, point.utility.high)]
        path += f"M{svg.number(point.x)} {ends[0]}V{ends[1]}"
    classes = f"bar {point.classes}"
    return svg.element("path", d=path, class_=classes, stroke=point.method.colour) if path else Markup("")


def _front_line(scenario: Scenario, points: Sequence[Point]) -> Markup:
    """Front members in the order of their validation disparity, drawn at their test values."""
    members = [p for p in points if p.ringed]
    members.sort(key=lambda p: scenario.validation[p.method.id, DISPARITY].mean)
    if len(members) < 2:
        return Markup("")
    return svg.element(
        "path", d="M" + "L".join(f"{svg.number(p.x)} {svg.number(p.y)}" for p in members), class_="front"
    )


def _oracle(scenario: Scenario, points: Sequence[Point]) -> Markup:
    """Steps through the methods that nobody beats on test values: what hindsight would choose."""
    able = [p for p in points if not scenario.degenerate(p.method.id)]
    values = [np.array([e.mean for e in column]) for column in ([p.utility for p in able], [p.disparity for p in able])]
    members = [p for p, member in zip(able, front(values[0], values[1]), strict=True) if member]
    if len(members) < 2:
        return Markup("")
    members.sort(key=lambda p: (p.disparity.mean, p.utility.mean))
    steps = "".join(f"H{svg.number(p.x)}V{svg.number(p.y)}" for p in members[1:])
    path = svg.element("path", d=f"M{svg.number(members[0].x)} {svg.number(members[0].y)}{steps}", class_="oracle")
    return svg.group([path], "oracle: the front that test values would choose")


def _spot(point: Point, box: Box) -> Markup:
    """Mark, ring, number, and a line between mark and number where they are apart."""
    parts = []
    if math.dist((point.x, point.y), (box.x, box.y)) > 18:
        parts.append(svg.line(point.x, point.y, box.x, box.y, "leader"))
    if point.ringed:
        parts.append(svg.element("circle", cx=point.x, cy=point.y, r=9, class_="ring"))
    parts.append(marker(point.method, point.x, point.y))
    parts.append(svg.rect(box.x - box.width / 2, box.y - box.height / 2, box.width, box.height, class_="plate"))
    parts.append(svg.text(box.x, box.y + 4, point.label, "number", "middle"))
    return svg.group(parts, point.hint, class_=point.classes)


FIGURE = Figure("Utility against result gap", "task", scatter, placed=True)
