"""Sensitivity to the wording: text experts under every template."""

from __future__ import annotations

import math

from markupsafe import Markup

from reports.figures import svg
from reports.figures.figure import Figure
from reports.format import value_text
from reports.names import BLUE, GREEN, ORANGE, PURPLE, metric_name, metric_symbol
from reports.text.wording import Wording, WordingSpread

TEMPLATE_SHAPES = ("circle", "square", "triangle", "diamond")
TEMPLATE_COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
WIDTH, LEFT, TOP, STEP = 1180.0, 168.0, 22.0, 19.0


def template_mark(place: int, x: float = 8, y: float = 8, size: float = 4.2) -> Markup:
    """Mark of the template at a place of the list."""
    k = place % len(TEMPLATE_SHAPES)
    return svg.mark(TEMPLATE_SHAPES[k], x, y, size, TEMPLATE_COLOURS[k])


def template_key(place: int) -> Markup:
    """The mark alone, for the legend."""
    return svg.element(
        "svg", template_mark(place), viewBox="0 0 16 16", width=14, height=14, aria_hidden="true", class_="mark"
    )


def templates(found: Wording, task: str) -> Markup:
    """One column per metric, one row per text expert, one mark per template; the line is the spread."""
    metrics = [m for m in found.metrics if _known(found, m)]
    if not metrics:
        return Markup("")
    column = min((WIDTH - LEFT) / len(metrics), 340.0)
    bottom = TOP + STEP * len(found.methods)
    width = LEFT + column * len(metrics)
    parts = [
        svg.text(LEFT - 8, TOP + STEP * i + 13, f"{m.number}  {m.label}", "row", "end")
        for i, m in enumerate(found.methods)
    ]
    parts += [svg.line(0, TOP + STEP * i, width, TOP + STEP * i, "grid") for i in range(len(found.methods) + 1)]
    parts += [_column(found, metric, LEFT + column * k, column, bottom) for k, metric in enumerate(metrics)]
    label = f"Values of text experts on {task} under each template, a column per metric; the table has the numbers."
    return svg.figure(width, bottom + 22, label, parts)


def _known(found: Wording, metric: str) -> list[float]:
    spreads = [s for m in found.methods if (s := found.get(m.id, metric)) is not None]
    return [v for s in spreads for v in s.values.values() if not math.isnan(v)]


def _column(found: Wording, metric: str, x: float, width: float, bottom: float) -> Markup:
    known = _known(found, metric)
    pad = max(0.06 * (max(known) - min(known)), 1e-3)
    axis = svg.Axis(min(known) - pad, max(known) + pad, x + 14, x + width - 12)
    ticks = axis.ticks(4)
    parts = [svg.text(x + width / 2, 14, metric_symbol(metric), "head", "middle")]
    parts += [svg.line(axis(t), TOP, axis(t), bottom, "grid") for t in ticks]
    parts += [svg.text(axis(t), bottom + 14, svg.tick_label(t, ticks), "tick", "middle") for t in ticks]
    for i, method in enumerate(found.methods):
        spread = found.get(method.id, metric)
        if spread is not None:
            parts.append(_templates_row(axis, spread, TOP + STEP * i + STEP / 2))
    return svg.join(parts)


def _templates_row(axis: svg.Axis, spread: WordingSpread, y: float) -> Markup:
    known = {t: v for t, v in spread.values.items() if not math.isnan(v)}
    if not known:
        return svg.text(axis.start, y + 4, "–", "tick")
    places = list(spread.values)
    parts = [svg.line(axis(min(known.values())), y, axis(max(known.values())), y, "span")]
    parts += [template_mark(places.index(t), axis(v), y, 3.6) for t, v in reversed(known.items())]
    words = ", ".join(f"{t} {value_text(v)}" for t, v in known.items())
    return svg.group(parts, f"{spread.method.label}, {metric_name(spread.metric)}: {words}")


FIGURE = Figure("Values under each template", "task", templates, placed=True)
