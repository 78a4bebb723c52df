"""Utility against the allowed gap, one line per contender: a panel for all tasks together, and one per task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from reports.figures import svg
from reports.names import BLUE, GREEN, INK, ORANGE, PURPLE, SKY, VERMILLION
from reports.render.format import interval_text, signed, value_text
from reports.stats.levels import FIXED, PLAIN, THRESHOLDS, Contender, Id, Levels
from reports.stats.statistics import Interval

PREFERRED: tuple[Id, ...] = (
    ("mixture", PLAIN), ("mixture", THRESHOLDS), ("lightgbm", THRESHOLDS), ("exponentiated_gradient", PLAIN),
    ("fairgnn", PLAIN), ("graph_gate_dense", PLAIN), ("gradient_boosting", THRESHOLDS), ("utility", THRESHOLDS),
    ("result", PLAIN), ("logistic_regression", THRESHOLDS),
)  # fmt: skip
MOST = 6
"""Lines of a panel; more cannot be told apart."""

STYLES = (
    ("circle", BLUE, False), ("circle", SKY, True), ("square", INK, False), ("diamond", VERMILLION, False),
    ("triangle", GREEN, False), ("square", PURPLE, True), ("triangle", ORANGE, True),
)  # fmt: skip
"""(shape, colour, hollow) of the lines, so that none depends on colour alone."""

WIDTH, BOTTOM, TOP, LEFT = 360.0, 208.0, 8.0, 46.0
STEP = (WIDTH - LEFT - 10) / len(FIXED)


def drawn(found: Levels) -> tuple[Contender, ...]:
    """Contenders that the figure shows: the same in every panel."""
    have = {c.id: c for c in found.contenders}
    return tuple(have[id] for id in PREFERRED if id in have)[:MOST]


def line_key(found: Levels, contender: Contender) -> Markup:
    """The mark of a line, for the legend."""
    shape, colour, hollow = STYLES[drawn(found).index(contender)]
    mark = svg.mark(shape, 8, 8, 5, colour, hollow)
    return svg.element("svg", mark, viewBox="0 0 16 16", width=14, height=14, aria_hidden="true", class_="mark")


def pooled_panel(found: Levels) -> Markup:
    """Difference from the reference over all tasks, by allowed gap."""
    rows: dict[Id, Mapping[str, Interval]] = {
        c.id: {level: found.places[level, c.id].difference for level in FIXED if (level, c.id) in found.places}
        for c in drawn(found)
    }
    reference = "" if found.reference is None else found.reference.label
    label = f"Utility minus that of {reference}, over all tasks, against the allowed gap"
    return _panel(found, rows, label, zero=True)


def task_panel(found: Levels, task: str) -> Markup:
    """Test utility on one task, by allowed gap."""
    by_level = found.reached[task]
    rows: dict[Id, Mapping[str, Interval]] = {
        c.id: {level: by_level[level][c.id].interval for level in FIXED if c.id in by_level.get(level, {})}
        for c in drawn(found)
    }
    return _panel(found, rows, f"Test utility on {task} against the allowed gap", zero=False)


def _panel(found: Levels, rows: Mapping[Id, Mapping[str, Interval]], label: str, zero: bool) -> Markup:
    known = [i for own in rows.values() for i in own.values() if not math.isnan(i.mean)]
    if not known:
        return Markup("")
    axis = _axis(known, zero)
    ticks = axis.ticks(4)
    parts = [svg.line(LEFT, axis(t), WIDTH - 6, axis(t), "grid") for t in ticks]
    parts += [svg.text(LEFT - 5, axis(t) + 4, svg.tick_label(t, ticks, signed=zero), "tick", "end") for t in ticks]
    if zero:
        parts.append(svg.line(LEFT, axis(0), WIDTH - 6, axis(0), "zero"))
    for place, level in enumerate(FIXED):
        parts.append(svg.text(LEFT + STEP * (place + 0.5), BOTTOM + 15, f"≤ {level}", "tick", "middle"))
    parts.append(svg.text((LEFT + WIDTH) / 2, BOTTOM + 31, "allowed gap (validation rows)", "axis", "middle"))
    shown = drawn(found)
    for index, contender in enumerate(shown):
        offset = (index - (len(shown) - 1) / 2) * min(9.0, STEP / (len(shown) + 2))
        parts.append(_line(contender, rows[contender.id], axis, STYLES[index], offset))
    words = "; ".join(_in_words(c, rows[c.id], zero) for c in shown if rows[c.id])
    return svg.figure(WIDTH, BOTTOM + 38, f"{label}. {words}. Tables below have all the numbers.", parts)


def _axis(known: Sequence[Interval], zero: bool) -> svg.Axis:
    """Room for the points, and for intervals unless they are much longer than the points are apart."""
    means = [i.mean for i in known] + ([0.0] if zero else [])
    low, high = min(means), max(means)
    room = 1.2 * max(high - low, 0.02)
    ends = [v for i in known for v in (i.low, i.high) if not math.isnan(v)]
    low, high = max(min([low, *ends]), low - room), min(max([high, *ends]), high + room)
    pad = 0.05 * (high - low)
    return svg.Axis(low - pad, high + pad, BOTTOM, TOP)


def _line(
    contender: Contender,
    own: Mapping[str, Interval],
    axis: svg.Axis,
    style: tuple[str, str, bool],
    offset: float,
) -> Markup:
    shape, colour, hollow = style
    points = [
        (LEFT + STEP * (FIXED.index(level) + 0.5) + offset, axis(i.mean), level, i)
        for level, i in own.items()
        if not math.isnan(i.mean)
    ]
    if not points:
        return Markup("")
    path = "M" + "L".join(f"{svg.number(x)} {svg.number(y)}" for x, y, _, _ in points)
    dashes = "4 3" if contender.variant == THRESHOLDS else None
    parts = [svg.element("path", d=path, fill="none", stroke=colour, stroke_width="1.3", stroke_dasharray=dashes)]
    for x, y, level, i in points:
        mark = [svg.mark(shape, x, y, 4.2, colour, hollow)]
        if not math.isnan(i.low):
            bar = f"M{svg.number(x)} {svg.number(axis(i.low))}V{svg.number(axis(i.high))}"
            mark.insert(0, svg.element("path", d=bar, stroke=colour, class_="bar"))
        hint = f"{contender.label}, ≤ {level}: {value_text(i.mean)} {interval_text(i.low, i.high, 3)}"
        parts.append(svg.group(mark, hint))
    return svg.join(parts)


def _in_words(contender: Contender, own: Mapping[str, Interval], zero: bool) -> str:
    show = signed if zero else value_text
    values = ", ".join(f"{show(i.mean)} at {level}" for level, i in own.items())
    return f"{contender.label}: {values}"
