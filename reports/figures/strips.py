"""Fairness of reasons: a column per procedural metric, a row per method."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from reports.explainers import code
from reports.figures import svg
from reports.figures.figure import Figure
from reports.format import value_text
from reports.method import Method
from reports.names import GREY, larger_is_better, metric_name, metric_symbol
from reports.scenario import Scenario
from reports.stats.estimate import Estimate


def strips(scenario: Scenario, metrics: Sequence[str], methods: Sequence[Method] | None = None) -> Markup:
    """Small multiples: one column per metric, one row per method, the null as a grey band.

    Axes are those of all methods of the task, whichever are drawn.
    """
    methods = scenario.methods if methods is None else methods
    width, top, step = 1180.0, 40.0, 19.0
    left = max([168.0, *(6.6 * len(_name(m)) for m in scenario.methods)])
    column = (width - left) / len(metrics)
    height = top + step * len(methods) + 22
    parts = [svg.text(left - 8, top + step * i + 13, _name(m), "row", "end") for i, m in enumerate(methods)]
    parts += [svg.line(0, top + step * i, width, top + step * i, "grid") for i in range(len(methods) + 1)]
    for k, metric in enumerate(metrics):
        parts.append(_strip(scenario, metric, methods, left + column * k, column, top, step))
    label = f"Procedural fairness on {scenario.name}, a column per metric, a row per method; a table follows."
    return svg.figure(width, height, label, parts)


def _name(method: Method) -> str:
    """Number, label, and how its reasons are found."""
    how = code(method.row.explainer)
    return f"{method.number}  {method.label}" + (f" · {how}" if how else "")


def _strip(
    scenario: Scenario, metric: str, methods: Sequence[Method], x: float, column: float, top: float, step: float
) -> Markup:
    known = [e for m in scenario.methods if (e := scenario.estimate(m.id, metric)) is not None]
    shown = [v for e in known for v in (e.mean, e.null_p95, min(e.high, 2 * e.mean)) if not math.isnan(v)]
    rows = [(i, m, e) for i, m in enumerate(methods) if (e := scenario.estimate(m.id, metric)) is not None]
    axis = svg.Axis(
        min([0.0, *(e.mean for e in known if not math.isnan(e.mean))]),
        max([*shown, 1e-4]) * 1.08,
        x + 14,
        x + column - 10,
    )
    bottom = top + step * len(methods)
    sense = "higher is fairer" if larger_is_better(metric) else "lower is fairer"
    parts = [
        svg.text(x + column / 2, 14, metric_symbol(metric), "head", "middle"),
        svg.text(x + column / 2, 28, sense, "tick", "middle"),
    ]
    ticks = axis.ticks(2) if shown else []
    parts += [svg.line(axis(t), top, axis(t), bottom, "grid") for t in ticks]
    parts += [svg.text(axis(t), bottom + 14, svg.tick_label(t, ticks), "tick", "middle") for t in ticks]
    parts += [_strip_row(axis, m, e, top + step * i + step / 2, metric) for i, m, e in rows]
    return svg.join(parts)


def _strip_row(axis: svg.Axis, method: Method, estimate: Estimate, y: float, metric: str) -> Markup:
    if math.isnan(estimate.mean):
        why = "; ".join(estimate.reasons)
        return svg.group([svg.text(axis.start, y + 4, "n/e", "tick")], f"{method.label}: not estimable. {why}")
    parts = []
    if not math.isnan(estimate.null_p95):
        parts.append(svg.rect(axis(0), y - 6, axis(estimate.null_p95) - axis(0), 12, class_="null"))
    colour = GREY if estimate.within_null else method.colour
    parts.append(svg.whisker(axis, estimate.low, estimate.high, y, colour))
    parts.append(svg.mark("circle", axis(estimate.mean), y, 3.8, colour, hollow=estimate.within_null))
    null = "" if math.isnan(estimate.null_p95) else f", null {value_text(estimate.null_p95)}"
    return svg.group(parts, f"{method.label}, {metric_name(metric)}: {value_text(estimate.mean)}{null}")


FIGURE = Figure("Procedural fairness", "task", strips, placed=True)
