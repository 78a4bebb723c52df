"""Rates of every group on one task: how many are selected, how many positives are found, how many answers are right."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from reports.figures import svg
from reports.figures.figure import Figure
from reports.format import count_text, interval_text, value_text
from reports.method import Method
from reports.names import BLUE, ORANGE
from reports.scenario import Scenario

STATISTICS = (("selection_rate", "selected"), ("tpr", "positives found"), ("accuracy", "right"))
"""(statistic of the table ``groups``, its words) of the panels."""

COLOURS = (BLUE, ORANGE)
VALUE = 34.0
"""Room for the number behind a bar of full length and its interval."""
LEFT, PANEL, ROW, BAR = 168.0, 150.0, 34.0, 11.0


def group_bars(scenario: Scenario, methods: Sequence[Method]) -> Markup:
    """Bars of at most two methods' chosen models on test rows; empty where the run has no rates of groups."""
    known = [m for m in methods[: len(COLOURS)] if any(key[0] == m.id for key in scenario.rates)]
    if not known or not scenario.groups:
        return Markup("")
    height = ROW * len(scenario.groups)
    parts = []
    for row, group in enumerate(scenario.groups):
        y = 20 + ROW * row
        parts.append(svg.text(0, y + 12, svg.shortened(group.name, 20), "row"))
        parts.append(
            svg.text(0, y + 25, f"n {count_text(group.count)}, {count_text(group.positives)} positive", "tick")
        )
    for panel, (statistic, words) in enumerate(STATISTICS):
        axis = svg.Axis(0.0, 1.0, LEFT + panel * PANEL, LEFT + (panel + 1) * PANEL - VALUE)
        parts.append(svg.text(axis.start, 12, words, "head"))
        parts.append(svg.line(axis.start, 18, axis.start, 18 + height, "frame"))
        for row, group in enumerate(scenario.groups):
            for place, method in enumerate(known):
                y = 22 + ROW * row + place * (BAR + 1)
                parts.append(_bar(scenario, (method, group.name, statistic), axis, y, COLOURS[place]))
    label = f"Rates by group on {scenario.name}. {_words(scenario, known)}"
    return svg.figure(LEFT + len(STATISTICS) * PANEL, 24 + height, label, parts)


def _bar(scenario: Scenario, key: tuple[Method, str, str], axis: svg.Axis, y: float, colour: str) -> Markup:
    method, group, statistic = key
    value = scenario.rates.get((method.id, group, statistic), math.nan)
    if math.isnan(value):
        return svg.text(axis.start + 3, y + 9, "n/e", "tick")
    low, high = scenario.rate_ends.get((method.id, group, statistic), (math.nan, math.nan))
    parts = [svg.rect(axis.start, y, axis(value) - axis.start, BAR, fill=colour, opacity="0.75")]
    parts.append(svg.whisker(axis, low, high, y + BAR / 2, "#1a1a1a", "1.4"))
    end = axis(value if math.isnan(high) else max(high, value))
    parts.append(svg.text(end + 3, y + 9.5, value_text(value, 2), "tick"))
    hint = f"{method.label}, {group}: {statistic.replace('_', ' ')} {value_text(value)} {interval_text(low, high)}"
    return svg.group(parts, hint.strip())


def _words(scenario: Scenario, methods: Sequence[Method]) -> str:
    """The numbers of the figure, for those who do not see it."""
    said = []
    for method in methods:
        for statistic, words in STATISTICS:
            values = [(g.name, scenario.rates.get((method.id, g.name, statistic), math.nan)) for g in scenario.groups]
            said.append(f"{method.label}, {words}: " + ", ".join(f"{name} {value_text(v, 2)}" for name, v in values))
    return "; ".join(said) + "."


FIGURE = Figure("Rates by group", "task", group_bars, placed=True)
