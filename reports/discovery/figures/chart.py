"""A panel with two axes, and the few marks that figures of a discovery share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.figures import svg
from reports.names import BLUE, GREY, ORANGE

BASE, OWN, WINNER = "base", "own expert", "winner"
MARKS = {BASE: ("circle", GREY, True), OWN: ("square", ORANGE, False), WINNER: ("diamond", BLUE, False)}
"""Shape, colour and whether it is hollow: what is told apart by colour is told apart by shape, too."""
NAME = 22
"""Letters of a name beside a row; the whole one is its tooltip."""


@dataclass(frozen=True)
class Panel:
    """A frame with a horizontal and a vertical axis.

    Attributes
    ----------
    x, y : Axis
        ``y`` starts at the bottom pixel.
    """

    x: svg.Axis
    y: svg.Axis

    def grid(self, below: str, beside: str = "", about: tuple[int, int] = (5, 5)) -> Markup:
        """Frame, grid, ticks and titles."""
        ticks = next((t for more in (1, 2, 4) if len(t := self.y.ticks(about[1] * more)) > 1), self.y.ticks(about[1]))
        parts = [svg.horizontal_axis(self.x, self.y.start, self.y.end, below, about=about[0])]
        parts += [svg.line(self.x.start, self.y(t), self.x.end, self.y(t), "grid") for t in ticks]
        parts += [svg.text(self.x.start - 5, self.y(t) + 4, svg.tick_label(t, ticks), "tick", "end") for t in ticks]
        if beside:
            widest = max((len(svg.tick_label(t, ticks)) for t in ticks), default=0)
            turn = f"translate({svg.number(self.x.start - 20 - 6.2 * widest)} {svg.number(self.y.middle)}) rotate(-90)"
            parts.append(svg.element("text", beside, transform=turn, class_="axis", text_anchor="middle"))
        parts.append(
            svg.rect(self.x.start, self.y.end, self.x.end - self.x.start, self.y.start - self.y.end, class_="frame")
        )
        return svg.join(parts)

    def curve(self, points: Sequence[tuple[float, float]], colour: str, **paint: str) -> Markup:
        """A line through the known points; it is broken where one is not known."""
        path, pen = "", "M"
        for x, y in points:
            if math.isnan(x) or math.isnan(y):
                pen = "M"
                continue
            path += f"{pen}{svg.number(self.x(x))} {svg.number(self.y(y))}"
            pen = "L"
        return _path(path, colour, paint)

    def band(self, points: Sequence[tuple[float, float, float]], colour: str) -> Markup:
        """The area between two lines; points are (x, low, high)."""
        known = [p for p in points if not any(map(math.isnan, p))]
        if len(known) < 2:
            return Markup("")
        there = [f"{svg.number(self.x(x))} {svg.number(self.y(high))}" for x, _, high in known]
        back = [f"{svg.number(self.x(x))} {svg.number(self.y(low))}" for x, low, _ in reversed(known)]
        return svg.element("path", d="M" + "L".join([*there, *back]) + "Z", fill=colour, fill_opacity="0.18")

    def level(self, y: float, colour: str, **paint: str) -> Markup:
        """A horizontal line through the panel; nothing where it lies outside."""
        if math.isnan(y) or not self.y.holds(y):
            return Markup("")
        d = f"M{svg.number(self.x.start)} {svg.number(self.y(y))}H{svg.number(self.x.end)}"
        return _path(d, colour, {"stroke_dasharray": "5 3", "stroke_width": "1.4", **paint})

    def whisker(self, x: float, low: float, high: float, colour: str) -> Markup:
        """A vertical interval."""
        if any(map(math.isnan, (x, low, high))):
            return Markup("")
        d = f"M{svg.number(self.x(x))} {svg.number(self.y(low))}V{svg.number(self.y(high))}"
        return _path(d, colour, {})


def _path(d: str, colour: str, paint: dict[str, str]) -> Markup:
    if not d:
        return Markup("")
    return svg.element("path", d=d, fill="none", stroke=colour, **{"stroke_width": "1.8", **paint})


def row_name(name: str, x: float, y: float, length: int = NAME) -> Markup:
    """A name to the left of a row, shortened; the whole of it is the tooltip."""
    return svg.group([svg.text(x, y, svg.shortened(name, length), "row", "end")], name)


def around(
    values: Iterable[float], least: float = 0.02, floor: float = -math.inf, top: float = math.inf
) -> tuple[float, float]:
    """An interval that holds all known values with a little room, not beyond ``floor`` and ``top``."""
    known = [v for v in values if not math.isnan(v)]
    if not known:
        return (max(0.0, floor), min(1.0, top))
    pad = max(0.07 * (max(known) - min(known)), least)
    return max(min(known) - pad, floor), min(max(known) + pad, top)


def key(word: str, x: float, y: float) -> Markup:
    """A mark and its word, for a legend in the picture."""
    shape, colour, hollow = MARKS[word]
    return svg.mark(shape, x, y - 4, 4.5, colour, hollow=hollow) + svg.text(x + 9, y, word, "tick")


def legend(words: Sequence[str], x: float, y: float, step: float = 92) -> Markup:
    """Marks and words side by side."""
    return svg.join(key(word, x + step * i, y) for i, word in enumerate(words))
