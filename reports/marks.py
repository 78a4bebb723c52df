"""The mark of a method: shape by kind, colour by role, the same in every figure, legend and table."""

from __future__ import annotations

from markupsafe import Markup

from reports import svg
from reports.winners import Method

SHAPES = {"gate": "circle", "static": "diamond", "expert": "square", "twin": "square", "baseline": "triangle"}


def marker(method: Method, x: float, y: float, size: float = 5) -> Markup:
    """The mark of a method at (x, y); twins are hollow."""
    return svg.mark(SHAPES[method.name.kind], x, y, size, method.name.colour, hollow=method.name.kind == "twin")


def legend_mark(method: Method) -> Markup:
    """The mark alone, for legends and tables."""
    return svg.element(
        "svg", marker(method, 8, 8), viewBox="0 0 16 16", width=14, height=14, aria_hidden="true", class_="mark"
    )
