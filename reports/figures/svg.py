"""The few SVG elements that the figures are made of: text in, markup out, the same bytes every time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup, escape


def number(value: float) -> str:
    """Coordinate with one decimal, without a trailing zero."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def element(tag: str, content: str | Markup = "", /, **attributes: str | float | None) -> Markup:
    """One element; ``_`` in attribute names stands for ``-``, a trailing ``_`` is dropped, None leaves it out."""
    parts = [tag]
    for name, value in attributes.items():
        if value is not None:
            shown = number(value) if isinstance(value, (int, float)) else escape(value)
            parts.append(f'{name.rstrip("_").replace("_", "-")}="{shown}"')
    head = " ".join(parts)
    return Markup(f"<{head}>{escape(content)}</{tag}>") if content else Markup(f"<{head}/>")


def join(parts: Iterable[Markup]) -> Markup:
    """Markup side by side."""
    return Markup("").join(parts)


def shortened(name: str, length: int) -> str:
    """A name that fits a row: at most ``length`` letters, with an ellipsis where some are missing."""
    return name if len(name) <= length else name[: length - 1] + "…"


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Straight line."""
    return element("path", d=f"M{number(x1)} {number(y1)}L{number(x2)} {number(y2)}", class_=class_)


def text(
    x: float, y: float, content: str, class_: str = "", anchor: str | None = None, fill: str | None = None
) -> Markup:
    """Text whose baseline starts at (x, y)."""
    return element("text", content, x=x, y=y, class_=class_ or None, text_anchor=anchor, fill=fill)


def rect(x: float, y: float, width: float, height: float, **attributes: str | float | None) -> Markup:
    """Rectangle."""
    return element("rect", x=x, y=y, width=max(width, 0.0), height=height, **attributes)


def group(parts: Iterable[Markup], title: str = "", **attributes: str | float | None) -> Markup:
    """Elements with a tooltip."""
    hint = element("title", title) if title else Markup("")
    return element("g", hint + join(parts), **attributes)


def figure(width: float, height: float, label: str, parts: Iterable[Markup]) -> Markup:
    """A whole picture with its text alternative."""
    return element(
        "svg",
        join(parts),
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=width,
        height=height,
        role="img",
        aria_label=label,
    )


def mark(shape: str, x: float, y: float, size: float, colour: str, hollow: bool = False) -> Markup:
    """A data point: "circle", "diamond", "square", "star" or "triangle" of half-width ``size``."""
    paint: dict[str, Any] = {
        "fill": "#fff" if hollow else colour,
        "stroke": colour if hollow else "#fff",
        "stroke_width": "2" if hollow else "1",
    }
    size -= 0.8 if hollow else 0.0  # the stroke of a hollow mark lies half outside
    if shape == "circle":
        return element("circle", cx=x, cy=y, r=size, **paint)
    corners = {
        "diamond": [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
        "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        "triangle": [(0, -1.15), (1.15, 0.9), (-1.15, 0.9)],
        "star": [
            (0, -1.4), (0.4, -0.45), (1.35, -0.45), (0.6, 0.2), (0.85, 1.15), (0, 0.6), (-0.85, 1.15), (-0.6, 0.2),
            (-1.35, -0.45), (-0.4, -0.45),
        ],
    }[shape]  # fmt: skip
    path = "M" + "L".join(f"{number(x + dx * size)} {number(y + dy * size)}" for dx, dy in corners) + "Z"
    return element("path", d=path, **paint)


@dataclass(frozen=True)
class Axis:
    """Linear map of a data interval to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __post_init__(self) -> None:
        # all values alike leave no interval: they stand in the middle of a narrow one
        if self.high <= self.low:
            object.__setattr__(self, "low", self.low - 0.01)
            object.__setattr__(self, "high", self.low + 0.02)

    def __call__(self, value: float) -> float:
        """Pixel of a value, held within the axis."""
        return self.start + (self.clip(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def middle(self) -> float:
        """Pixel half-way."""
        return (self.start + self.end) / 2

    def clip(self, value: float) -> float:
        """The value, held within the axis."""
        return min(max(value, self.low), self.high)

    def holds(self, value: float) -> bool:
        """Whether the value lies on the axis."""
        return self.low <= value <= self.high

    def beyond(self, value: float, below: str, above: str) -> str:
        """A word for a value off the axis; empty for one on it."""
        return below if value < self.low else above if value > self.high else ""

    def ticks(self, about: int = 4) -> list[float]:
        """Round values on the axis, roughly ``about`` of them."""
        step = _round_step((self.high - self.low) / max(about, 1))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(k * step, 12) for k in range(first, last + 1)]


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))


def tick_label(value: float, ticks: list[float], signed: bool = False) -> str:
    """A tick with as many decimals as its neighbours need, and a true minus sign."""
    step = min((b - a for a, b in pairwise(ticks)), default=1.0)
    digits = next((d for d in range(5) if abs(step * 10**d - round(step * 10**d)) < 1e-9), 5)
    plus = "+" if signed and value > 0 else ""
    return plus + f"{value:.{digits}f}".replace("-", "−")


def horizontal_axis(axis: Axis, y: float, top: float, label: str, signed: bool = False, about: int = 4) -> Markup:
    """Grid lines, tick labels and a title below ``y``."""
    ticks = axis.ticks(about)
    parts = [line(axis(t), top, axis(t), y, "grid") for t in ticks]
    parts += [text(axis(t), y + 13, tick_label(t, ticks, signed), "tick", "middle") for t in ticks]
    if label:
        parts.append(text((axis.start + axis.end) / 2, y + 29, label, "axis", "middle"))
    return join(parts)


def whisker(axis: Axis, low: float, high: float, y: float, colour: str, width: str = "2.2", **paint: str) -> Markup:
    """Interval as a horizontal line; nothing where an end is unknown."""
    if math.isnan(low) or math.isnan(high):
        return Markup("")
    path = f"M{number(axis(low))} {number(y)}H{number(axis(high))}"
    return element("path", d=path, stroke=colour, stroke_width=width, **paint)
