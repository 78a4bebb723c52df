"""The figures of the page, as SVG drawn by hand: small, sharp at every size, no script, the same bytes every time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from reports import svg
from reports.comparison import Pooled
from reports.format import interval_text, signed, value_text
from reports.labels import Box, place_labels
from reports.names import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    SKY,
    VERMILLION,
    expert_colour,
    larger_is_better,
    method_name,
    metric_name,
    metric_symbol,
)
from reports.summary import DISPARITY, UTILITY, Estimate, Method, Report, Scenario

SHAPES = {"gate": "circle", "static": "diamond", "expert": "square", "twin": "square", "baseline": "triangle"}
VERDICT_COLOURS = {"better": BLUE, "worse": VERMILLION}


def marker(method: Method, x: float, y: float, size: float = 5) -> Markup:
    """The mark of a method; twins are hollow."""
    return svg.mark(SHAPES[method.name.kind], x, y, size, method.name.colour, hollow=method.name.kind == "twin")


def legend_mark(method: Method) -> Markup:
    """The mark alone, for legends and tables."""
    return svg.element(
        "svg", marker(method, 8, 8), viewBox="0 0 16 16", width=14, height=14, aria_hidden="true", class_="mark"
    )


# -- what the mixture achieves ----------------------------------------------------------------------------------------


def forest(report: Report, metric: str) -> Markup:
    """Pooled differences of one metric with their intervals, and a dot per task; better is always to the right."""
    rows = [(pair, report.pooled[*pair, metric]) for pair in report.pairs if (*pair, metric) in report.pooled]
    width, top, step = 300.0, 4.0, 38.0
    bottom = top + step * len(rows)
    reach = _reach(report, metric)
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


def _reach(report: Report, metric: str) -> float:
    """Half-width of the axis: room for every pooled interval and nearly every task."""
    pooled = [p.interval for (_, _, m), p in report.pooled.items() if m == metric]
    ends = [abs(v) for interval in pooled for v in (interval.low, interval.high, interval.mean)]
    dots = [abs(v) for a, b in report.pairs for v in report.by_task(a, b, metric)]
    return max([*(v for v in ends if not math.isnan(v)), *_below_quantile(dots), 0.005]) * 1.1


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


# -- utility against fairness -----------------------------------------------------------------------------------------

SCATTER = Box(250, 177, 404, 314)  # the plotting area


def scatter(scenario: Scenario) -> Markup:
    """Utility against the result gap on test rows, with intervals over splits and the validation-chosen front."""
    known = [m for m in scenario.methods if _drawable(scenario, m)]
    if not known:
        return Markup("")
    x_axis, y_axis = _scatter_axes(scenario, known)
    spots = {m.id: (x_axis(_mean(scenario, m, DISPARITY)), y_axis(_mean(scenario, m, UTILITY))) for m in known}
    boxes = place_labels(
        [spots[m.id] for m in known],
        [8.0 * len(str(m.number)) + 2 for m in known],
        13.0,
        SCATTER,
        12.0,
        [m.id in scenario.on_front for m in known],
    )
    parts = [_scatter_frame(x_axis, y_axis)]
    parts += [_cross(scenario, m, x_axis, y_axis) for m in known]
    parts.append(_front_line(scenario, known, spots))
    for method, box in zip(known, boxes, strict=True):
        parts.append(_spot(scenario, method, spots[method.id], box, x_axis, y_axis))
    members = ", ".join(m.name.label for m in known if m.id in scenario.on_front) or "none"
    label = f"Utility against result gap on {scenario.name}; on the front: {members}. The table below has the numbers."
    return svg.figure(460, 378, label, parts)


def _drawable(scenario: Scenario, method: Method) -> bool:
    values = [scenario.estimate(method.id, metric) for metric in (UTILITY, DISPARITY)]
    return all(v is not None and not math.isnan(v.mean) for v in values)


def _estimate(scenario: Scenario, method: Method, metric: str) -> Estimate:
    return scenario.test[method.id, metric]


def _mean(scenario: Scenario, method: Method, metric: str) -> float:
    return _estimate(scenario, method, metric).mean


def _scatter_axes(scenario: Scenario, known: Sequence[Method]) -> tuple[svg.Axis, svg.Axis]:
    """Axes for the methods that predict something; a constant one far away is drawn at the edge."""
    able = [m for m in known if not scenario.degenerate(m.id)] or list(known)
    x = [_mean(scenario, m, DISPARITY) for m in able]
    y = [_mean(scenario, m, UTILITY) for m in able]
    x_pad = max(0.12 * (max(x) - min(x)), 0.006) + _typical_half(scenario, able, DISPARITY, max(x) - min(x))
    y_pad = max(0.12 * (max(y) - min(y)), 0.006) + _typical_half(scenario, able, UTILITY, max(y) - min(y))
    left, right = SCATTER.x - SCATTER.width / 2, SCATTER.x + SCATTER.width / 2
    upper, lower = SCATTER.y - SCATTER.height / 2, SCATTER.y + SCATTER.height / 2
    x_low = min(x) - x_pad
    x_axis = svg.Axis(x_low if x_low > 0 else -0.03 * (max(x) + x_pad), max(x) + x_pad, left, right)
    return x_axis, svg.Axis(min(y) - y_pad, max(y) + y_pad, lower, upper)


def _typical_half(scenario: Scenario, methods: Sequence[Method], metric: str, spread: float) -> float:
    """Room for error bars, but never so much that the points become a blot."""
    halves = [h for h in (_estimate(scenario, m, metric).half for m in methods) if not math.isnan(h)]
    return min(float(np.median(halves)) if halves else 0.0, 0.35 * max(spread, 0.01))


def _scatter_frame(x_axis: svg.Axis, y_axis: svg.Axis) -> Markup:
    left, right, upper, lower = x_axis.start, x_axis.end, y_axis.end, y_axis.start
    y_ticks = y_axis.ticks(5)
    parts = [svg.horizontal_axis(x_axis, lower, upper, "result gap, fair_res@1  (◀ fairer)", about=5)]
    parts += [svg.line(left, y_axis(t), right, y_axis(t), "grid") for t in y_ticks]
    parts += [svg.text(left - 5, y_axis(t) + 4, svg.tick_label(t, y_ticks), "tick", "end") for t in y_ticks]
    middle = svg.number((upper + lower) / 2)
    parts.append(
        svg.element(
            "text",
            "utility@1  (better ▶)",
            x=0,
            y=0,
            class_="axis",
            text_anchor="middle",
            transform=f"translate(11 {middle}) rotate(-90)",
        )
    )
    parts.append(svg.rect(left, upper, right - left, lower - upper, class_="frame"))
    return svg.join(parts)


def _cross(scenario: Scenario, method: Method, x_axis: svg.Axis, y_axis: svg.Axis) -> Markup:
    """Error bars over splits, cut at the frame."""
    across, up = _estimate(scenario, method, DISPARITY), _estimate(scenario, method, UTILITY)
    x, y = x_axis(across.mean), y_axis(up.mean)
    path = ""
    if not math.isnan(across.half) and y_axis.holds(up.mean):
        path += f"M{svg.number(x_axis(across.low))} {svg.number(y)}H{svg.number(x_axis(across.high))}"
    if not math.isnan(up.half) and x_axis.holds(across.mean):
        path += f"M{svg.number(x)} {svg.number(y_axis(up.low))}V{svg.number(y_axis(up.high))}"
    return svg.element("path", d=path, class_="bar", stroke=method.name.colour) if path else Markup("")


def _front_line(scenario: Scenario, known: Sequence[Method], spots: dict[str, tuple[float, float]]) -> Markup:
    """Front members in the order of their validation disparity, drawn at their test values."""
    members = sorted(
        (m for m in known if m.id in scenario.on_front), key=lambda m: scenario.validation[m.id, DISPARITY].mean
    )
    if len(members) < 2:
        return Markup("")
    return svg.element(
        "path", d="M" + "L".join(" ".join(map(svg.number, spots[m.id])) for m in members), class_="front"
    )


def _spot(
    scenario: Scenario, method: Method, spot: tuple[float, float], box: Box, x_axis: svg.Axis, y_axis: svg.Axis
) -> Markup:
    x, y = spot
    utility, disparity = _mean(scenario, method, UTILITY), _mean(scenario, method, DISPARITY)
    off = not (x_axis.holds(disparity) and y_axis.holds(utility))
    hint = f"{method.number} {method.name.label}: utility {value_text(utility)}, result gap {value_text(disparity)}" + (
        " (off the scale)" if off else ""
    )
    parts = []
    if math.dist(spot, (box.x, box.y)) > 16:
        parts.append(svg.line(x, y, box.x, box.y, "leader"))
    if method.id in scenario.on_front:
        parts.append(svg.element("circle", cx=x, cy=y, r=9, class_="ring"))
    parts.append(marker(method, x, y))
    parts.append(svg.rect(box.x - box.width / 2, box.y - box.height / 2, box.width, box.height, class_="plate"))
    parts.append(svg.text(box.x, box.y + 4, str(method.number), "number", "middle"))
    if off:
        arrow = (
            "▼" if utility < y_axis.low else "▲" if utility > y_axis.high else "▶" if disparity > x_axis.high else "◀"
        )
        parts.append(svg.text(x, y - 8 if arrow == "▼" else y + 16, arrow, "off", "middle"))
    return svg.group(parts, hint)


# -- reasons ----------------------------------------------------------------------------------------------------------


def strips(scenario: Scenario, metrics: Sequence[str]) -> Markup:
    """Small multiples: one column per metric, one row per method, the null as a grey band."""
    width, left, top, step = 1180.0, 168.0, 40.0, 19.0
    column = (width - left) / len(metrics)
    height = top + step * len(scenario.methods) + 22
    parts = [
        svg.text(left - 8, top + step * i + 13, f"{m.number}  {m.name.label}", "row", "end")
        for i, m in enumerate(scenario.methods)
    ]
    parts += [svg.line(0, top + step * i, width, top + step * i, "grid") for i in range(len(scenario.methods) + 1)]
    for k, metric in enumerate(metrics):
        parts.append(_strip(scenario, metric, left + column * k, column, top, step))
    label = f"Procedural fairness on {scenario.name}, a column per metric, a row per method; a table follows."
    return svg.figure(width, height, label, parts)


def _strip(scenario: Scenario, metric: str, x: float, column: float, top: float, step: float) -> Markup:
    rows = [(i, m, e) for i, m in enumerate(scenario.methods) if (e := scenario.estimate(m.id, metric)) is not None]
    shown = [v for _, _, e in rows for v in (e.mean, e.null_p95, min(e.high, 2 * e.mean)) if not math.isnan(v)]
    axis = svg.Axis(
        min([0.0, *(e.mean for _, _, e in rows if not math.isnan(e.mean))]),
        max([*shown, 1e-4]) * 1.08,
        x + 14,
        x + column - 10,
    )
    bottom = top + step * len(scenario.methods)
    sense = "higher is fairer" if larger_is_better(metric) else "lower is fairer"
    parts = [
        svg.text(x + column / 2, 14, metric_symbol(metric), "head", "middle"),
        svg.text(x + column / 2, 28, sense, "tick", "middle"),
    ]
    ticks = axis.ticks(2)
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


def weights(scenario: Scenario) -> Markup:
    """Mean gate weight of each expert in each group, a stacked bar per group."""
    width, left, step = 390.0, 104.0, 19.0
    parts, y = [], 4.0
    for routing in scenario.routing:
        parts.append(svg.text(0, y + 12, f"{routing.method.number}  {routing.method.name.label}", "head"))
        y += 19
        for row, name in enumerate(routing.groups):
            parts.append(svg.text(left - 6, y + 12, _clip(name, 17), "row", "end"))
            parts.append(_stack(routing.experts, routing.weight[row].tolist(), left, y, width - left, name))
            y += step
        y += 6
    label = f"Mean gate weights by group on {scenario.name}; the table below has the numbers."
    return svg.figure(width, y, label, parts)


def _clip(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"


def _stack(experts: Sequence[str], shares: Sequence[float], x: float, y: float, width: float, group: str) -> Markup:
    parts = []
    for expert, share in zip(experts, shares, strict=True):
        if math.isnan(share) or share <= 0:
            continue
        bar = svg.rect(x, y, width * share, 15, fill=expert_colour(expert), stroke="#fff", stroke_width="1")
        words = f"{method_name(expert).label[0]} {share:.0%}"
        inside = [svg.text(x + width * share / 2, y + 11.5, words, "share", "middle")] if width * share >= 40 else []
        parts.append(svg.group([bar, *inside], f"{group}: {method_name(expert).label} {share:.1%}"))
        x += width * share
    return svg.join(parts)


def decomposition(scenario: Scenario, stem: str) -> Markup:
    """A soft gap of each mixture in its two parts, ``{stem}_routing@1`` and ``{stem}_within@1``."""
    rows = [
        (m, routing, within) for m, routing, within in _parts_of_gap(scenario, stem) if not math.isnan(routing + within)
    ]
    if not rows:
        return Markup("")
    width, left, top, step = 390.0, 136.0, 6.0, 24.0
    bottom = top + step * len(rows)
    ends = [v for _, routing, within in rows for v in (routing, within, routing + within, 0.0)]
    pad = max(0.06 * (max(ends) - min(ends)), 0.002)
    axis = svg.Axis(min(ends) - pad, max(ends) + pad, left, width - 8)
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
