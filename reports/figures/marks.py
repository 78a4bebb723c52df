"""The mark of a method: shape by kind, colour by role, pip by family, the same in every figure, legend and table."""

from __future__ import annotations

from markupsafe import Markup

from reports.figures import svg
from reports.method import Method

SHAPES = {
    "gate": "circle", "static": "diamond", "expert": "square", "twin": "square", "baseline": "triangle", "own": "star",
}  # fmt: skip


def marker(method: Method, x: float, y: float, size: float = 5) -> Markup:
    """The mark of a method at (x, y); twins are hollow; a pip: text, a slit: graph, a bar: both families."""
    hollow = method.kind == "twin"
    paint = method.colour if hollow else "#fff"
    whole = svg.mark(SHAPES[method.kind], x, y, size, method.colour, hollow=hollow)
    if method.reads == "text":
        return whole + svg.element("circle", cx=x, cy=y, r=size * 0.36, fill=paint)
    if method.reads == "graph":
        return whole + svg.rect(x - size * 0.18, y - size * 0.55, size * 0.36, size * 1.1, fill=paint)
    if method.reads == "both":
        return whole + svg.rect(x - size, y - size * 0.2, size * 2, size * 0.4, fill=paint)
    return whole


def legend_mark(method: Method) -> Markup:
    """The mark alone, for legends and tables."""
    return svg.element(
        "svg", marker(method, 8, 8), viewBox="0 0 16 16", width=14, height=14, aria_hidden="true", class_="mark"
    )
