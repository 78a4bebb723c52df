"""Curves on two logarithmic axes, as a picture for the documentation; the same numbers are the same bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from reports.figures import svg

WIDTH, HEIGHT = 640.0, 380.0
LEFT, RIGHT, TOP, BOTTOM = 70.0, 470.0, 20.0, 330.0
COLOURS = ("#1f5fa8", "#b5482a", "#2e7d4f", "#7a4fa3", "#8a6d1b", "#555555")
STYLE = (
    "text{font:12px sans-serif;fill:#222}.grid{stroke:#ddd;fill:none}.frame{stroke:#888;fill:none}"
    ".curve{fill:none;stroke-width:2}"
)
Curve = Sequence[tuple[float, float]]


def loglog(curves: Mapping[str, Curve], label: str, x: str, y: str) -> str:
    """One SVG document.

    Parameters
    ----------
    curves : mapping
        Name → points with positive coordinates.
    label : str
        What the picture shows, for those who do not see it.
    x, y : str
        Words of the axes.
    """
    points = [point for curve in curves.values() for point in curve]
    across = _axis([p[0] for p in points], LEFT, RIGHT)
    up = _axis([p[1] for p in points], BOTTOM, TOP)
    parts = [svg.element("style", Markup(STYLE)), svg.rect(0, 0, WIDTH, HEIGHT, fill="#fff"), *_grid(across, up)]
    for place, (name, curve) in enumerate(curves.items()):
        parts += _curve(name, curve, across, up, COLOURS[place % len(COLOURS)], TOP + 14 + 20 * place)
    parts.append(svg.text((LEFT + RIGHT) / 2, HEIGHT - 12, x, anchor="middle"))
    turn = f"translate(16 {svg.number((TOP + BOTTOM) / 2)}) rotate(-90)"
    parts.append(svg.element("text", y, transform=turn, text_anchor="middle"))
    document = str(svg.figure(WIDTH, HEIGHT, label, parts))
    return document.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def _axis(values: Sequence[float], start: float, end: float) -> svg.Axis:
    """From the power of ten below all values to that above."""
    logs = [math.log10(value) for value in values]
    low, high = math.floor(min(logs)), math.ceil(max(logs))
    return svg.Axis(low, max(high, low + 1), start, end)


def _grid(across: svg.Axis, up: svg.Axis) -> list[Markup]:
    parts = [svg.rect(LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP, class_="frame")]
    for power in range(int(across.low), int(across.high) + 1):
        parts.append(svg.line(across(power), TOP, across(power), BOTTOM, "grid"))
        parts.append(svg.text(across(power), BOTTOM + 18, _power(power), anchor="middle"))
    for power in range(int(up.low), int(up.high) + 1):
        parts.append(svg.line(LEFT, up(power), RIGHT, up(power), "grid"))
        parts.append(svg.text(LEFT - 6, up(power) + 4, _power(power), anchor="end"))
    return parts


def _power(power: int) -> str:
    return f"{10.0**power:,.0f}" if power >= 0 else f"{10.0**power:g}"


def _curve(name: str, curve: Curve, across: svg.Axis, up: svg.Axis, colour: str, y: float) -> list[Markup]:
    places = [(across(math.log10(a)), up(math.log10(b))) for a, b in curve]
    path = "M" + "L".join(f"{svg.number(a)} {svg.number(b)}" for a, b in places)
    marks = [svg.mark("circle", a, b, 3.0, colour) for a, b in places]
    return [
        svg.element("path", d=path, class_="curve", stroke=colour), *marks,
        svg.mark("circle", RIGHT + 16, y - 4, 3.5, colour), svg.text(RIGHT + 26, y, name),
    ]  # fmt: skip
