"""How far the division into experts holds when the items are drawn again, for every number of experts."""

from __future__ import annotations

import math

from markupsafe import Markup

from reports.discovery.figures.chart import Panel, around
from reports.discovery.reading import Discovery, Node, number, rows
from reports.figures import svg
from reports.format import interval_text, value_text
from reports.names import BLUE, INK, ORANGE

LEFT, RIGHT, TOP, BOTTOM = 62.0, 420.0, 34.0, 270.0


def stability(found: Discovery) -> Markup:
    """Stability with intervals and silhouette by number of experts; the chosen number has a ring."""
    plan = found.step("plan")
    told = [r for r in rows(plan, "stability") if not math.isnan(number(r, "experts") + number(r, "stability"))]
    if not told:
        return Markup("")
    told.sort(key=lambda row: number(row, "experts"))
    values = [number(row, key) for row in told for key in ("stability", "low", "high", "silhouette")]
    counts = [number(row, "experts") for row in told]
    low, high = around([*values, 0.0, 1.0])
    panel = Panel(svg.Axis(counts[0] - 0.5, counts[-1] + 0.5, LEFT, RIGHT), svg.Axis(low, high, BOTTOM, TOP))
    parts = [panel.grid("number of experts", "", (len(told), 5))]
    lines = {key: [(number(row, "experts"), number(row, key)) for row in told] for key in ("silhouette", "stability")}
    parts.append(panel.curve(lines["silhouette"], ORANGE, stroke_dasharray="4 3"))
    parts.append(panel.curve(lines["stability"], BLUE))
    parts += [_row(panel, row, number(plan, "chosen")) for row in told]
    parts += _keys()
    label = "Stability of the division and its silhouette for every number of experts; the chosen one is ringed."
    return svg.figure(RIGHT + 14, BOTTOM + 36, label, parts)


def _row(panel: Panel, row: Node, chosen: float) -> Markup:
    count, value, other = number(row, "experts"), number(row, "stability"), number(row, "silhouette")
    low, high = number(row, "low"), number(row, "high")
    parts = [panel.whisker(count, low, high, BLUE)]
    if not math.isnan(other):
        parts.append(svg.mark("diamond", panel.x(count), panel.y(other), 3.6, ORANGE, hollow=True))
    parts.append(svg.mark("circle", panel.x(count), panel.y(value), 4.5, BLUE))
    if count == chosen:
        parts.append(svg.element("circle", cx=panel.x(count), cy=panel.y(value), r=9, class_="ring"))
    said = f"stability {value_text(value)} {interval_text(low, high)}, silhouette {value_text(other)}"
    return svg.group(parts, f"{count:.0f} experts: {said}")


def _keys() -> list[Markup]:
    return [
        svg.mark("circle", LEFT + 6, 14, 4.5, BLUE), svg.text(LEFT + 15, 18, "stability (adjusted Rand)", "tick"),
        svg.mark("diamond", LEFT + 160, 14, 3.6, ORANGE, hollow=True), svg.text(LEFT + 169, 18, "silhouette", "tick"),
        svg.element("circle", cx=LEFT + 248, cy=14, r=7, fill="none", stroke=INK),
        svg.text(LEFT + 260, 18, "chosen", "tick"),
    ]  # fmt: skip
