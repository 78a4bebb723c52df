"""Utility against the allowed gap, one line per contender: a panel for all tasks together, and one per task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from reports.figures import svg
from reports.figures.figure import Figure
from reports.format import interval_text, signed, value_text
from reports.levels.contenders import PLAIN, Contender, Id, mixtures_of, references_of, rivals_of
from reports.levels.levels import Levels
from reports.levels.reached import FIXED
from reports.names import BLUE, GREEN, INK, ORANGE, PURPLE, SKY, VERMILLION
from reports.stats.statistics import Interval

MOST = 6
"""Lines of a panel; more cannot be told apart."""

STYLES = (
    ("circle", BLUE, False), ("circle", SKY, True), ("square", INK, False), ("diamond", VERMILLION, False),
    ("triangle", GREEN, False), ("square", PURPLE, True), ("triangle", ORANGE, True),
)  # fmt: skip
"""(shape, colour, hollow) of the lines, so that none depends on colour alone."""

WIDTH, BOTTOM, TOP, LEFT = 360.0, 208.0, 8.0, 46.0


def _columns(found: Levels) -> list[str]:
    """Levels of the horizontal axis."""
    return [level for level in FIXED if level in found.levels]


def drawn(found: Levels) -> tuple[Contender, ...]:
    """Contenders that the figure shows, the same in every panel: the mixture, and one of each sort of rival first."""
    mixtures, rivals = mixtures_of(found.contenders), rivals_of(found.contenders)
    with_thresholds = {c.method for c in mixtures if c.variant != PLAIN}
    wanted = [
        *(c for c in mixtures if c.method == mixtures[0].method),
        *_one_of_each_sort(rivals),
        *(c for c in mixtures if c.method in with_thresholds and c.variant == PLAIN),
        *(c for c in rivals if c.variant != PLAIN),
        *(c for c in found.contenders if c.method.row.landmark and _fair_expert(c, rivals)),
        *references_of(found.contenders),
    ]
    return tuple(dict.fromkeys(wanted))[:MOST]


def _one_of_each_sort(rivals: Sequence[Contender]) -> list[Contender]:
    """The first rival of each variant and way of reading rows."""
    first: dict[tuple[str, str], Contender] = {}
    for rival in rivals:
        first.setdefault((rival.variant, rival.method.reads), rival)
    return list(first.values())


def _fair_expert(contender: Contender, rivals: Sequence[Contender]) -> bool:
    own = contender.method
    return contender.variant == PLAIN and own.kind == "expert" and own not in {c.method for c in rivals}


def line_key(found: Levels, contender: Contender) -> Markup:
    """The mark of a line, for the legend."""
    shape, colour, hollow = STYLES[drawn(found).index(contender)]
    mark = svg.mark(shape, 8, 8, 5, colour, hollow)
    return svg.element("svg", mark, viewBox="0 0 16 16", width=14, height=14, aria_hidden="true", class_="mark")


def level_lines(found: Levels, task: str | None = None) -> Markup:
    """The panel of a task; without one, that of all tasks together."""
    return _pooled_panel(found) if task is None else _task_panel(found, task)


def _pooled_panel(found: Levels) -> Markup:
    """Difference from the reference over all tasks, by allowed gap."""
    rows: dict[Id, Mapping[str, Interval]] = {
        c.id: {
            level: found.places[level, c.id].difference for level in _columns(found) if (level, c.id) in found.places
        }
        for c in drawn(found)
    }
    reference = "" if found.reference is None else found.reference.label
    label = f"Utility minus that of {reference}, over all tasks, against the allowed gap"
    return _panel(found, rows, label, zero=True)


def _task_panel(found: Levels, task: str) -> Markup:
    """Test utility on one task, by allowed gap."""
    by_level = found.reached[task]
    rows: dict[Id, Mapping[str, Interval]] = {
        c.id: {level: by_level[level][c.id].interval for level in _columns(found) if c.id in by_level.get(level, {})}
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
    columns = _columns(found)
    step = (WIDTH - LEFT - 10) / len(columns)
    for place, level in enumerate(columns):
        words = level if level == "any" else f"≤ {level}"
        parts.append(svg.text(LEFT + step * (place + 0.5), BOTTOM + 15, words, "tick", "middle"))
    parts.append(svg.text((LEFT + WIDTH) / 2, BOTTOM + 31, "allowed gap (validation rows)", "axis", "middle"))
    shown = drawn(found)
    for index, contender in enumerate(shown):
        offset = (index - (len(shown) - 1) / 2) * min(9.0, step / (len(shown) + 2))
        places = {level: LEFT + step * (k + 0.5) + offset for k, level in enumerate(columns)}
        parts.append(_line(contender, rows[contender.id], axis, STYLES[index], places))
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
    places: Mapping[str, float],
) -> Markup:
    shape, colour, hollow = style
    points = [(places[level], axis(i.mean), level, i) for level, i in own.items() if not math.isnan(i.mean)]
    if not points:
        return Markup("")
    path = "M" + "L".join(f"{svg.number(x)} {svg.number(y)}" for x, y, _, _ in points)
    dashes = None if contender.variant == PLAIN else "4 3"
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


FIGURE = Figure("Utility against the allowed gap", "levels", level_lines, placed=True)
