"""How many drafts were taken for each expert, which check refused how many, and where the accepted ones lie."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from reports.discovery.figures.chart import row_name
from reports.discovery.reading import Discovery, Node, items, number, rows, text
from reports.figures import svg
from reports.format import count_text, value_text
from reports.names import BLUE, GREEN, INK, VERMILLION

LEFT, TOP, ROW = 176.0, 78.0, 26.0
TAKEN, CHECK, ZONE = 190.0, 62.0, 190.0
"""Widths of the three parts: share taken, a column for each check, the zone."""
WANTED = 0.75
ZONE_LIMITS = (0.70, 0.80)
GAP = 28.0
HEAD = 180.0
"""Room that the head over the checks needs."""


def data(found: Discovery) -> Markup:
    """A row for each expert: accepted share, share that each check refused, mean success of the accepted items."""
    told = [row for row in rows(found.step("data"), "experts") if not math.isnan(number(row, "acceptance"))]
    if not told:
        return Markup("")
    checks = list(dict.fromkeys(name for row in told for name, _ in items(row, "checks")))
    bottom = TOP + ROW * len(told)
    taken = svg.Axis(0, 1, LEFT, LEFT + TAKEN)
    first = LEFT + TAKEN + GAP
    right = first + (max(CHECK * len(checks), HEAD) if checks else 0) + GAP
    zone = svg.Axis(0, 1, right, right + ZONE)
    parts = [_heads(checks, first, zone), svg.horizontal_axis(taken, bottom, TOP, "share of drafts accepted")]
    parts += [_zone_band(zone, bottom), svg.horizontal_axis(zone, bottom, TOP, "mean success of accepted items")]
    parts.append(_limit(taken(WANTED), bottom))
    parts += [_row(row, checks, TOP + ROW * i, taken, first, zone) for i, row in enumerate(told)]
    label = "Acceptance by expert, share of drafts that each check refused, and mean success of the accepted items."
    return svg.figure(zone.end + 16, bottom + 36, label, parts)


def _heads(checks: Sequence[str], first: float, zone: svg.Axis) -> Markup:
    parts = [
        svg.text(LEFT, 14, "accepted", "head"),
        svg.text(LEFT, 28, f"dashed: {value_text(WANTED, 2)} wanted", "tick"),
    ]
    if checks:
        parts += [
            svg.text(first, 14, "refused by", "head"),
            svg.text(first, 28, "share of drafts; one may fail several", "tick"),
        ]
    for k, check in enumerate(checks):
        turn = f"translate({svg.number(first + CHECK * (k + 0.5) - 14)} {svg.number(TOP - 6)}) rotate(-22)"
        parts.append(svg.group([svg.element("text", svg.shortened(check, 14), transform=turn, class_="row")], check))
    parts += [svg.text(zone.start, 14, "learning zone", "head")]
    parts += [svg.text(zone.start, 28, f"band: {ZONE_LIMITS[0]:.2f} … {ZONE_LIMITS[1]:.2f} wanted", "tick")]
    return svg.join(parts)


def _zone_band(zone: svg.Axis, bottom: float) -> Markup:
    low, high = (zone(v) for v in ZONE_LIMITS)
    return svg.rect(low, TOP, high - low, bottom - TOP, fill=GREEN, fill_opacity="0.18")


def _limit(x: float, bottom: float) -> Markup:
    d = f"M{svg.number(x)} {svg.number(TOP - 4)}V{svg.number(bottom)}"
    return svg.element("path", d=d, stroke=INK, stroke_dasharray="5 3", stroke_width="1.4")


def _row(row: Node, checks: Sequence[str], y: float, taken: svg.Axis, first: float, zone: svg.Axis) -> Markup:
    share, middle = number(row, "acceptance"), y + ROW / 2
    end = taken(share)
    said = f"{count_text(number(row, 'accepted'))} of {count_text(number(row, 'drafts'))} drafts accepted"
    colour = BLUE if share >= WANTED else VERMILLION
    inside = share > 0.3
    shown = svg.text(
        end - 5 if inside else end + 5, middle + 4, value_text(share, 2), "head on-dark" if inside else "head",
        "end" if inside else None,
    )  # fmt: skip
    bar = svg.group([svg.rect(LEFT, y + 4, end - LEFT, ROW - 8, fill=colour), shown], said)
    cells = [_cell(number(row, "checks", c, "share"), first + CHECK * k, y, c) for k, c in enumerate(checks)]
    return svg.join([row_name(text(row, "name"), LEFT - 8, middle + 4), bar, *cells, _zone(row, zone, middle)])


def _cell(share: float, x: float, y: float, check: str) -> Markup:
    strength = 0.0 if math.isnan(share) else min(share / 0.5, 1.0)
    parts = [svg.rect(x, y + 2, CHECK - 3, ROW - 4, fill=VERMILLION, fill_opacity=f"{0.05 + 0.6 * strength:.2f}")]
    parts.append(svg.text(x + CHECK / 2 - 1.5, y + ROW / 2 + 4, value_text(share, 2), "cell", "middle"))
    return svg.group(parts, f"{check}: {value_text(share)} of the drafts")


def _zone(row: Node, zone: svg.Axis, y: float) -> Markup:
    mean, low, high = (number(row, "zone", key) for key in ("mean", "low", "high"))
    if math.isnan(mean):
        return Markup("")
    parts = [svg.whisker(zone, low, high, y, INK, width="1.6"), svg.mark("circle", zone(mean), y, 4.5, BLUE)]
    return svg.group(parts, f"mean {value_text(mean)}, from {value_text(low)} to {value_text(high)}")
