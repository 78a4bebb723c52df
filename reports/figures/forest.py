"""What the mixture achieves: pooled differences with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from reports.figures import svg
from reports.figures.figure import Figure
from reports.format import interval_text, signed
from reports.names import BLUE, GREY, VERMILLION, larger_is_better, metric_name
from reports.stats.contrasts import Pooled
from reports.summary import Report

LONGEST = 4.0
"""An interval is cut where it is so many times as long as the largest difference."""

VERDICT_COLOURS = {"better": BLUE, "worse": VERMILLION}


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
        parts.append(svg.text(10, y - 11, f"{report.label(method)} − {report.label(reference)}", "row"))
        parts += [svg.element("circle", cx=axis(d), cy=y, r=2.6, class_="dot") for d in dots if not math.isnan(d)]
        parts.append(_pooled_mark(axis, pooled, y, colour))
    label = f"Pooled differences in {metric_name(metric)}, with 95 % intervals; the table above has the numbers."
    return svg.figure(width, bottom + 38, label, parts)


def _pooled_mark(axis: svg.Axis, pooled: Pooled, y: float, colour: str) -> Markup:
    mean, low, high = pooled.interval.mean, pooled.interval.low, pooled.interval.high
    if math.isnan(mean):
        return svg.text(axis.middle, y + 4, "not estimable", "tick", "middle")
    whole = [svg.whisker(axis, low, high, y, colour), svg.mark("diamond", axis(mean), y, 5, colour)]
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


FIGURE = Figure("Pooled differences", "answer", forest, placed=True)
