"""Curves on two logarithmic axes, as a picture for the documentation; the same numbers are the same bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.figures import svg

WIDTH, HEIGHT = 640.0, 380.0
LEFT, RIGHT, TOP, BOTTOM = 70.0, 470.0, 20.0, 330.0
SMALL, LOW, ACROSS = 330.0, 250.0, 3
"""Width and height of a panel of several, and how many stand side by side."""
COLOURS = ("#1f5fa8", "#b5482a", "#2e7d4f", "#7a4fa3", "#8a6d1b", "#555555")
STYLE = (
    "text{font:12px sans-serif;fill:#222}.grid{stroke:#ddd;fill:none}.frame{stroke:#888;fill:none}"
    ".curve{fill:none;stroke-width:2}"
)
NARROW = 1.5
"""Powers of ten; axes that span fewer have marks between them."""
Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """One of several diagrams: name → points with positive coordinates, and the words of the axes."""

    curves: Mapping[str, Curve]
    x: str
    y: str


@dataclass(frozen=True)
class _Frame:
    """Where a diagram lies."""

    left: float
    right: float
    top: float
    bottom: float


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
    frame, names = _Frame(LEFT, RIGHT, TOP, BOTTOM), list(curves)
    parts, drawn = _diagram(frame, Panel(curves, x, y), names)
    for place, name in enumerate(names):
        parts += [*drawn[name], *_entry(names, name, RIGHT + 16, TOP + 14 + 20 * place)]
    parts.append(svg.text((LEFT + RIGHT) / 2, HEIGHT - 12, x, anchor="middle"))
    parts.append(_upright(16, frame, y))
    return _document(WIDTH, HEIGHT, label, parts)


def panels(found: Sequence[Panel], label: str) -> str:
    """One SVG document of several diagrams, row by row; a curve of a name has one colour in all of them.

    Parameters
    ----------
    found : sequence of Panel
    label : str
        What the picture shows, for those who do not see it.
    """
    names = list(dict.fromkeys(name for panel in found for name in panel.curves))
    parts: list[Markup] = []
    for place, panel in enumerate(found):
        left, top = SMALL * (place % ACROSS), LOW * (place // ACROSS)
        frame = _Frame(left + 70, left + SMALL - 36, top + 16, top + LOW - 56)
        grid, drawn = _diagram(frame, panel, names)
        parts += [*grid, *(part for curve in drawn.values() for part in curve)]
        parts.append(svg.text((frame.left + frame.right) / 2, frame.bottom + 36, panel.x, anchor="middle"))
        parts.append(_upright(left + 16, frame, panel.y))
    height = LOW * math.ceil(len(found) / ACROSS)
    legend = [part for k, name in enumerate(names) for part in _entry(names, name, 70, height + 12 + 20 * k)]
    return _document(SMALL * min(ACROSS, len(found)), height + 20 * len(names) + 8, label, [*parts, *legend])


def _document(width: float, height: float, label: str, parts: Iterable[Markup]) -> str:
    ground = [svg.element("style", Markup(STYLE)), svg.rect(0, 0, width, height, fill="#fff")]
    document = str(svg.figure(width, height, label, [*ground, *parts]))
    return document.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def _diagram(frame: _Frame, panel: Panel, names: Sequence[str]) -> tuple[list[Markup], dict[str, list[Markup]]]:
    """The grid, and each curve by its name."""
    points = [point for curve in panel.curves.values() for point in curve]
    across, marks_across = _axis([p[0] for p in points], frame.left, frame.right)
    up, marks_up = _axis([p[1] for p in points], frame.bottom, frame.top)
    curves = {name: _curve(curve, across, up, _colour(names, name)) for name, curve in panel.curves.items()}
    return _grid(frame, (across, marks_across), (up, marks_up)), curves


def _upright(x: float, frame: _Frame, words: str) -> Markup:
    turn = f"translate({svg.number(x)} {svg.number((frame.top + frame.bottom) / 2)}) rotate(-90)"
    return svg.element("text", words, transform=turn, text_anchor="middle")


def _axis(values: Sequence[float], start: float, end: float) -> tuple[svg.Axis, list[float]]:
    """An axis of logarithms and the values of its marks: from that below all values to that above."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    marks = [10.0**power for power in range(low, max(high, low + 1) + 1)]
    if math.log10(max(values) / min(values)) < NARROW:
        fine = [step * 10.0**power for power in range(low, high + 1) for step in (1, 2, 5)]
        first = max(place for place, mark in enumerate(fine) if mark <= min(values))
        last = min(place for place, mark in enumerate(fine) if mark >= max(values) and place > first)
        marks = fine[first : last + 1]
    return svg.Axis(math.log10(marks[0]), math.log10(marks[-1]), start, end), marks


def _grid(frame: _Frame, across: tuple[svg.Axis, list[float]], up: tuple[svg.Axis, list[float]]) -> list[Markup]:
    parts = [svg.rect(frame.left, frame.top, frame.right - frame.left, frame.bottom - frame.top, class_="frame")]
    for mark in across[1]:
        x = across[0](math.log10(mark))
        parts.append(svg.line(x, frame.top, x, frame.bottom, "grid"))
        parts.append(svg.text(x, frame.bottom + 18, _number(mark), anchor="middle"))
    for mark in up[1]:
        y = up[0](math.log10(mark))
        parts.append(svg.line(frame.left, y, frame.right, y, "grid"))
        parts.append(svg.text(frame.left - 6, y + 4, _number(mark), anchor="end"))
    return parts


def _number(mark: float) -> str:
    return f"{mark:,.0f}" if mark >= 1 else f"{mark:g}"


def _curve(curve: Curve, across: svg.Axis, up: svg.Axis, colour: str) -> list[Markup]:
    places = [(across(math.log10(a)), up(math.log10(b))) for a, b in curve]
    path = "M" + "L".join(f"{svg.number(a)} {svg.number(b)}" for a, b in places)
    marks = [svg.mark("circle", a, b, 3.0, colour) for a, b in places]
    return [svg.element("path", d=path, class_="curve", stroke=colour), *marks]


def _entry(names: Sequence[str], name: str, x: float, y: float) -> list[Markup]:
    """Which curve has which colour."""
    return [svg.mark("circle", x, y - 4, 3.5, _colour(names, name)), svg.text(x + 10, y, name)]


def _colour(names: Sequence[str], name: str) -> str:
    return COLOURS[names.index(name) % len(COLOURS)]
