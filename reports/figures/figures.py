"""The figures of the page, as SVG drawn by hand: small, sharp at every size, no script, the same bytes every time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from reports.figures import svg
from reports.names import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SKY,
    VERMILLION,
    expert_code,
    expert_colour,
    larger_is_better,
    method_name,
    metric_name,
    metric_symbol,
    reads,
)
from reports.render.format import interval_text, signed, value_text
from reports.stats.comparison import Pooled
from reports.stats.estimate import Estimate
from reports.stats.winners import Method
from reports.summary import Report, Routing, Scenario

LONGEST = 4.0
"""An interval is cut where it is so many times as long as the largest difference."""

PALE = {"text": ".55", "graph": ".3"}
"""How much paler experts are that read something else than columns."""

VERDICT_COLOURS = {"better": BLUE, "worse": VERMILLION}


# -- what the mixture achieves ----------------------------------------------------------------------------------------


def forest(report: Report, metric: str, pairs: Sequence[tuple[str, str]] | None = None) -> Markup:
    """Pooled differences of one metric with their intervals, and a dot per task; better is always to the right.

    Parameters
    ----------
    report : Report
    metric : str
    pairs : sequence of (method, reference), optional
        Comparisons to draw; all by default.
    """
    pairs = report.pairs if pairs is None else pairs
    rows = [(pair, report.pooled[*pair, metric]) for pair in pairs if (*pair, metric) in report.pooled]
    width, top, step = 300.0, 4.0, 38.0
    bottom = top + step * len(rows)
    reach = _reach(report, metric, pairs)
    ends = (14.0, width - 14) if larger_is_better(metric) else (width - 14, 14.0)
    axis = svg.Axis(-reach, reach, *ends)
    parts = [svg.horizontal_axis(axis, bottom, top, "", signed=True), svg.line(axis(0), top, axis(0), bottom, "zero")]
    parts += [
        svg.text(12, bottom + 30, "◀ worse", "axis"),
        svg.text(width - 12, bottom + 30, "better ▶", "axis", "end"),
    ]
    for i, ((method, reference), pooled) in enumerate(rows):
        y = top + step * i + 26
        dots = report.by_task(method, reference, metric)
        colour = VERDICT_COLOURS.get(pooled.verdict, GREY)
        parts.append(svg.text(10, y - 11, f"{method_name(method).label} − {method_name(reference).label}", "row"))
        parts += [svg.element("circle", cx=axis(d), cy=y, r=2.6, class_="dot") for d in dots if not math.isnan(d)]
        parts.append(_pooled_mark(axis, pooled, y, colour))
    label = f"Pooled differences in {metric_name(metric)}, with 95 % intervals; the table above has the numbers."
    return svg.figure(width, bottom + 38, label, parts)


def _pooled_mark(axis: svg.Axis, pooled: Pooled, y: float, colour: str) -> Markup:
    mean, low, high = pooled.interval.mean, pooled.interval.low, pooled.interval.high
    if math.isnan(mean):
        return svg.text(axis.middle, y + 4, "not estimable", "tick", "middle")
    whole = [_whisker(axis, low, high, y, colour), svg.mark("diamond", axis(mean), y, 5, colour)]
    return svg.group(whole, f"{signed(mean)} {interval_text(low, high, 3)}: {pooled.verdict}")


def _reach(report: Report, metric: str, pairs: Sequence[tuple[str, str]]) -> float:
    """Half-width of the axis: room for nearly every task, and for intervals unless they are far longer than that."""
    pooled = [report.pooled[*pair, metric].interval for pair in pairs if (*pair, metric) in report.pooled]
    means = [abs(interval.mean) for interval in pooled]
    ends = [abs(v) for interval in pooled for v in (interval.low, interval.high)]
    dots = [abs(v) for a, b in pairs for v in report.by_task(a, b, metric)]
    inner = max([*(v for v in means if not math.isnan(v)), *_below_quantile(dots), 0.005])
    # two tasks have one degree of freedom: their intervals would make every difference a point at 0
    return max([inner, *(min(v, LONGEST * inner) for v in ends if not math.isnan(v))]) * 1.1


def _below_quantile(values: Sequence[float], share: float = 0.95) -> list[float]:
    known = [v for v in values if not math.isnan(v)]
    return [float(np.quantile(known, share))] if known else []


def _whisker(axis: svg.Axis, low: float, high: float, y: float, colour: str) -> Markup:
    if math.isnan(low) or math.isnan(high):
        return Markup("")
    return svg.element(
        "path",
        d=f"M{svg.number(axis(low))} {svg.number(y)}H{svg.number(axis(high))}",
        stroke=colour,
        stroke_width="2.2",
    )


# -- reasons ----------------------------------------------------------------------------------------------------------


def strips(scenario: Scenario, metrics: Sequence[str], methods: Sequence[Method] | None = None) -> Markup:
    """Small multiples: one column per metric, one row per method, the null as a grey band.

    Axes are those of all methods of the task, whichever are drawn.
    """
    methods = scenario.methods if methods is None else methods
    width, top, step = 1180.0, 40.0, 19.0
    left = max([168.0, *(6.6 * len(f"{m.number}  {m.name.label}") for m in scenario.methods)])
    column = (width - left) / len(metrics)
    height = top + step * len(methods) + 22
    parts = [
        svg.text(left - 8, top + step * i + 13, f"{m.number}  {m.name.label}", "row", "end")
        for i, m in enumerate(methods)
    ]
    parts += [svg.line(0, top + step * i, width, top + step * i, "grid") for i in range(len(methods) + 1)]
    for k, metric in enumerate(metrics):
        parts.append(_strip(scenario, metric, methods, left + column * k, column, top, step))
    label = f"Procedural fairness on {scenario.name}, a column per metric, a row per method; a table follows."
    return svg.figure(width, height, label, parts)


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
        return svg.group([svg.text(axis.start, y + 4, "n/e", "tick")], f"{method.name.label}: not estimable. {why}")
    parts = []
    if not math.isnan(estimate.null_p95):
        parts.append(svg.rect(axis(0), y - 6, axis(estimate.null_p95) - axis(0), 12, class_="null"))
    colour = GREY if estimate.within_null else method.name.colour
    parts.append(_whisker(axis, estimate.low, estimate.high, y, colour))
    parts.append(svg.mark("circle", axis(estimate.mean), y, 3.8, colour, hollow=estimate.within_null))
    null = "" if math.isnan(estimate.null_p95) else f", null {value_text(estimate.null_p95)}"
    return svg.group(parts, f"{method.name.label}, {metric_name(metric)}: {value_text(estimate.mean)}{null}")


# -- gates ------------------------------------------------------------------------------------------------------------


def weights(scenario: Scenario, mixtures: Sequence[Routing] | None = None) -> Markup:
    """Mean gate weight of each expert in each group, a stacked bar per group; text and graph experts are paler."""
    width, left, step = 390.0, 118.0, 19.0
    parts, y = [], 4.0
    for routing in scenario.routing if mixtures is None else mixtures:
        parts.append(svg.text(0, y + 12, f"{routing.method.number}  {routing.method.name.label}", "head"))
        y += 19
        for row, name in enumerate(routing.groups):
            parts.append(svg.text(left - 6, y + 12, svg.shortened(name, 16), "row", "end"))
            parts.append(_stack(routing.experts, routing.weight[row].tolist(), left, y, width - left, name))
            y += step
        y += 6
    label = f"Mean gate weights by group on {scenario.name}; the table below has the numbers."
    return svg.figure(width, y, label, parts)


def _stack(experts: Sequence[str], shares: Sequence[float], x: float, y: float, width: float, group: str) -> Markup:
    parts = []
    for expert, share in zip(experts, shares, strict=True):
        if math.isnan(share) or share <= 0:
            continue
        bar = svg.rect(x, y, width * share, 15, fill=expert_colour(expert), stroke="#fff", stroke_width="1")
        if pale := PALE.get(reads(expert)):
            bar += svg.rect(x + 0.5, y + 0.5, width * share - 1, 14, fill="#fff", fill_opacity=pale)
        words = f"{expert_code(expert)} {share:.0%}"
        inside = [svg.text(x + width * share / 2, y + 11.5, words, "share", "middle")] if width * share >= 42 else []
        parts.append(svg.group([bar, *inside], f"{group}: {method_name(expert).label} {share:.1%}"))
        x += width * share
    return svg.join(parts)


def decomposition(scenario: Scenario, stem: str, kind: str | None = None) -> Markup:
    """A soft gap of each mixture in its two parts, ``{stem}_routing@1`` and ``{stem}_within@1``.

    ``kind``: only mixtures whose experts read this, a key of ``reports.names.READS``.
    """
    rows = [
        (m, routing, within)
        for m, routing, within in _parts_of_gap(scenario, stem)
        if not math.isnan(routing + within) and kind in (None, m.reads)
    ]
    if not rows:
        return Markup("")
    width, top, step = 390.0, 6.0, 24.0
    left = max([136.0, *(6.4 * len(f"{m.number}  {m.name.label}") for m, _, _ in rows)])
    bottom = top + step * len(rows)
    ends = [v for _, routing, within in rows for v in (routing, within, routing + within, 0.0)]
    pad = max(0.06 * (max(ends) - min(ends)), 0.002)
    axis = svg.Axis(min(ends) - pad, max(ends) + pad, left, width - 18)
    parts = [svg.horizontal_axis(axis, bottom, top, "", signed=True, about=4)]
    parts.append(svg.line(axis(0), top, axis(0), bottom, "zero"))
    for i, (method, routing, within) in enumerate(rows):
        y = top + step * i
        parts.append(svg.text(left - 8, y + 16, f"{method.number}  {method.name.label}", "row", "end"))
        total = svg.mark("diamond", axis(routing + within), y + 12, 3.8, INK)
        bars = [_part(axis, routing, y + 4, SKY), _part(axis, within, y + 12.5, ORANGE), total]
        words = f"routing {signed(routing)}, within experts {signed(within)}, total {signed(routing + within)}"
        parts.append(svg.group(bars, f"{method.name.label}: {words}"))
    label = f"Parts of the soft gap ({stem}) on {scenario.name}: routing and within experts; the table has the numbers."
    return svg.figure(width, bottom + 20, label, parts)


def _parts_of_gap(scenario: Scenario, stem: str) -> list[tuple[Method, float, float]]:
    found = []
    for method in scenario.methods:
        routing, within = (scenario.estimate(method.id, f"{stem}_{part}@1") for part in ("routing", "within"))
        if routing is not None and within is not None:
            found.append((method, routing.mean, within.mean))
    return found


def _part(axis: svg.Axis, value: float, y: float, colour: str) -> Markup:
    start, end = sorted((axis(0), axis(value)))
    return svg.rect(start, y, end - start, 7.5, fill=colour)
