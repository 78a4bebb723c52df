"""Bars of a rate per group, with intervals and counts, as SVG."""

from __future__ import annotations

import math

from markupsafe import Markup

from benchmarks.models.cards.document import Bars
from reports.figures.svg import Axis, figure, group, horizontal_axis, rect, shortened, text, whisker
from reports.format import interval_text, value_text
from reports.names import BLUE, INK

WIDTH, LEFT, RIGHT, TOP, STEP, BELOW = 560.0, 170.0, 545.0, 10.0, 30.0, 40.0
LETTERS = 24


def draw(bars: Bars) -> Markup:
    """A picture as wide as a page on a telephone; a group without a value has no bar."""
    axis = Axis(0.0, 1.0, LEFT, RIGHT)
    bottom = TOP + STEP * len(bars.bars)
    parts = [horizontal_axis(axis, bottom, TOP, bars.title)]
    for place, bar in enumerate(bars.bars):
        y = TOP + STEP * place + STEP / 2
        known = not math.isnan(bar.estimate)
        words = f"{bar.group}: {value_text(bar.estimate, 3)} {interval_text(bar.low, bar.high, 3)}, {bar.rows:,} rows"
        row = [
            text(LEFT - 8, y, shortened(bar.group, LETTERS), "label", "end"),
            text(LEFT - 8, y + 11, f"n = {bar.rows:,}", "tick", "end"),
        ]
        if known:
            row.append(rect(LEFT, y - 8, axis(bar.estimate) - LEFT, 16, fill=BLUE, fill_opacity="0.55"))
            row.append(whisker(axis, bar.low, bar.high, y, INK, "1.6"))
        parts.append(group(row, words))
    label = f"{bars.title} by group: " + "; ".join(
        f"{bar.group} {value_text(bar.estimate, 3)} {interval_text(bar.low, bar.high, 3)}".strip() for bar in bars.bars
    )
    return figure(WIDTH, bottom + BELOW, label, parts)
