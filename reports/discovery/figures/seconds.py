"""Where the time went."""

from __future__ import annotations

import math

from markupsafe import Markup

from reports.discovery.figures.chart import row_name
from reports.discovery.reading import STEPS, Discovery, number, rows, text
from reports.figures import svg
from reports.format import seconds_text
from reports.names import BLUE

LEFT, RIGHT, TOP, ROW = 120.0, 430.0, 8.0, 22.0


def seconds_by_step(found: Discovery) -> dict[str, float]:
    """Step → seconds, of ``discovery.json`` where it tells them, else of the step's own result."""
    told = {text(row, "name"): number(row, "seconds") for row in rows(found.top, "steps")}
    pairs = {name: told.get(place, math.nan) for place, name in STEPS.items()}
    own = {name: number(found.step(name), "seconds") if math.isnan(s) else s for name, s in pairs.items()}
    return {name: s for name, s in own.items() if not math.isnan(s) and s >= 0}


def seconds(found: Discovery) -> Markup:
    """A bar for each step."""
    told = seconds_by_step(found)
    whole = sum(told.values())
    if not whole:
        return Markup("")
    axis = svg.Axis(0, max(told.values()), LEFT, RIGHT)
    parts = []
    for i, (name, took) in enumerate(told.items()):
        y = TOP + ROW * i
        parts += [row_name(name, LEFT - 8, y + ROW / 2 + 4)]
        parts.append(svg.rect(LEFT, y + 4, axis(took) - LEFT, ROW - 8, fill=BLUE))
        parts.append(svg.text(axis(took) + 6, y + ROW / 2 + 4, f"{seconds_text(took)} s, {took / whole:.0%}", "tick"))
    return svg.figure(RIGHT + 100, TOP + ROW * len(told) + 8, "Seconds of every step, and its share.", parts)
