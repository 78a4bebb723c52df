"""Gates: mean weight of each expert in each group."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from reports.figures import svg
from reports.figures.figure import Figure
from reports.method import colour_of
from reports.methods import MethodRow
from reports.routing import Routing
from reports.scenario import Scenario
from reports.summary import Report

PALE = {"text": ".55", "graph": ".3"}
"""How much paler experts are that read something else than columns."""


def weights(report: Report, scenario: Scenario, mixtures: Sequence[Routing] | None = None) -> Markup:
    """Mean gate weight of each expert in each group, a stacked bar per group; text and graph experts are paler."""
    width, left, step = 390.0, 118.0, 19.0
    parts, y = [], 4.0
    for routing in scenario.routing if mixtures is None else mixtures:
        parts.append(svg.text(0, y + 12, f"{routing.method.number}  {routing.method.label}", "head"))
        y += 19
        for row, name in enumerate(routing.groups):
            parts.append(svg.text(left - 6, y + 12, svg.shortened(name, 16), "row", "end"))
            experts = [report.row(expert) for expert in routing.experts]
            parts.append(_stack(experts, routing.weight[row].tolist(), left, y, width - left, name))
            y += step
        y += 6
    label = f"Mean gate weights by group on {scenario.name}; the table below has the numbers."
    return svg.figure(width, y, label, parts)


def _stack(
    experts: Sequence[MethodRow], shares: Sequence[float], x: float, y: float, width: float, group: str
) -> Markup:
    parts = []
    for expert, share in zip(experts, shares, strict=True):
        if math.isnan(share) or share <= 0:
            continue
        bar = svg.rect(x, y, width * share, 15, fill=colour_of(expert), stroke="#fff", stroke_width="1")
        if pale := PALE.get(expert.reads):
            bar += svg.rect(x + 0.5, y + 0.5, width * share - 1, 14, fill="#fff", fill_opacity=pale)
        words = f"{expert.code} {share:.0%}".strip()
        inside = [svg.text(x + width * share / 2, y + 11.5, words, "share", "middle")] if width * share >= 42 else []
        parts.append(svg.group([bar, *inside], f"{group}: {expert.label} {share:.1%}"))
        x += width * share
    return svg.join(parts)


FIGURE = Figure("Mean gate weight by group", "task", weights, placed=True)
