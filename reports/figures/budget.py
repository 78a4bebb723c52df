"""Budget curves: expected test utility of the best of k trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from reports.figures import svg
from reports.figures.figure import Figure
from reports.figures.marks import marker
from reports.format import value_text
from reports.method import Method
from reports.stats.budget import Curve
from reports.stats.statistics import Floats

WIDTH, LABEL = 360.0, 12.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 322.0, 8.0, 200.0


def curve_figure(task: str, curves: Sequence[Curve]) -> Markup:
    """Expected test utility against the number of trials (logarithmic), a line per method."""
    means = {curve.method: curve.mean for curve in curves}
    most = max(len(mean) for mean in means.values())
    known = np.concatenate([mean[~np.isnan(mean)] for mean in means.values()])
    pad = max(0.06 * float(np.ptp(known)), 0.004)
    bottom = max(BOTTOM, TOP + LABEL * len(means))  # room for a label per line
    y = svg.Axis(float(known.min()) - pad, float(known.max()) + pad, bottom, TOP)
    x = svg.Axis(0.0, max(math.log(most), 1e-9), LEFT, RIGHT)
    ticks = y.ticks(4)
    parts = [svg.line(LEFT, y(t), RIGHT, y(t), "grid") for t in ticks]
    parts += [svg.text(LEFT - 5, y(t) + 4, svg.tick_label(t, ticks), "tick", "end") for t in ticks]
    steps = [k for k in (1, 2, 5, 10, 20, 50, 100, 200) if k <= most]
    parts += [svg.text(x(math.log(k)), bottom + 15, str(k), "tick", "middle") for k in steps]
    parts.append(svg.text((LEFT + RIGHT) / 2, bottom + 32, "trials", "axis", "middle"))
    ends = _apart([y(float(mean[~np.isnan(mean)][-1])) for mean in means.values()], bottom + 12)
    for (method, mean), place in zip(means.items(), ends, strict=True):
        parts.append(_line(method, mean, x, y, place))
    words = ", ".join(f"{m.label} {value_text(float(mean[~np.isnan(mean)][-1]))}" for m, mean in means.items())
    label = f"Expected test utility of the best of k trials on {task}; with all trials: {words}. A table follows."
    return svg.figure(WIDTH, bottom + 40, label, parts)


def _line(method: Method, mean: Floats, x: svg.Axis, y: svg.Axis, place: float) -> Markup:
    points = [(x(math.log(k + 1)), y(float(v))) for k, v in enumerate(mean) if not math.isnan(v)]
    path = "M" + "L".join(f"{svg.number(a)} {svg.number(b)}" for a, b in points)
    end = points[-1]
    parts = [
        svg.element("path", d=path, fill="none", stroke=method.colour, stroke_width="1.6"),
        marker(method, *end, 4),
        svg.text(RIGHT + 12, place + 4, str(method.number), "number"),
    ]
    if abs(place - end[1]) > 3 or end[0] < RIGHT - 1:
        parts.append(svg.line(end[0] + 5, end[1], RIGHT + 10, place, "leader"))
    return svg.group(parts, f"{method.number} {method.label}")


def _apart(places: Sequence[float], floor: float) -> list[float]:
    """The places, moved down as far as needed to stand ``LABEL`` apart, and back up from ``floor``."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + LABEL)
    for i in reversed(order):
        moved[i] = min(moved[i], floor)
        floor = moved[i] - LABEL
    return moved


FIGURE = Figure("Budget curves", "levels", curve_figure, placed=True)
