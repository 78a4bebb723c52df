"""Gates: the parts of a soft gap that come from routing and from within the experts."""

from __future__ import annotations

import math

from markupsafe import Markup

from reports.figures import svg
from reports.figures.figure import Figure
from reports.format import signed
from reports.method import Method
from reports.names import INK, ORANGE, SKY
from reports.scenario import Scenario


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
    left = max([136.0, *(6.4 * len(f"{m.number}  {m.label}") for m, _, _ in rows)])
    bottom = top + step * len(rows)
    ends = [v for _, routing, within in rows for v in (routing, within, routing + within, 0.0)]
    pad = max(0.06 * (max(ends) - min(ends)), 0.002)
    axis = svg.Axis(min(ends) - pad, max(ends) + pad, left, width - 18)
    parts = [svg.horizontal_axis(axis, bottom, top, "", signed=True, about=4)]
    parts.append(svg.line(axis(0), top, axis(0), bottom, "zero"))
    for i, (method, routing, within) in enumerate(rows):
        y = top + step * i
        parts.append(svg.text(left - 8, y + 16, f"{method.number}  {method.label}", "row", "end"))
        total = svg.mark("diamond", axis(routing + within), y + 12, 3.8, INK)
        bars = [_part(axis, routing, y + 4, SKY), _part(axis, within, y + 12.5, ORANGE), total]
        words = f"routing {signed(routing)}, within experts {signed(within)}, total {signed(routing + within)}"
        parts.append(svg.group(bars, f"{method.label}: {words}"))
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


FIGURE = Figure("Soft gaps in parts", "task", decomposition, placed=True)
