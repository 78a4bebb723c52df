"""What every contender gains over the base, and where it pays for it: a row for each, a column for each domain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from reports.discovery.figures.chart import row_name
from reports.discovery.figures.similarity import ink_on, shade
from reports.discovery.reading import Discovery, Measured, measured, rows, text
from reports.discovery.winner import changes_something, winner_row
from reports.figures import svg
from reports.format import interval_text, points_text
from reports.names import INK

LEFT, TOP, WIDTH, ROW = 176.0, 96.0, 58.0, 30.0
MOST = 14
"""Rows that are drawn: the winner, the experts, then other mixtures."""

Gains = dict[str, dict[str, Measured]]
"""Row → domain → gain over the base, a difference of shares."""


def gains(found: Discovery) -> Markup:
    """Gains in points; a bold number in a frame: the whole interval is on one side of nothing."""
    table = gains_of(found)
    domains = [d for d in found.domains if any(d in row for row in table.values())]
    if not table or not domains:
        return Markup("")
    strongest = max([0.05, *(abs(one.estimate) for row in table.values() for one in row.values())])
    parts = [_head(domain, k) for k, domain in enumerate(domains)]
    for i, (name, row) in enumerate(table.items()):
        y = TOP + ROW * i
        parts.append(row_name(name, LEFT - 8, y + ROW / 2 + 4))
        parts += [_cell(row.get(d), LEFT + WIDTH * k, y, strongest, f"{name}, {d}") for k, d in enumerate(domains)]
    label = "Gains over the base in points by contender and domain; blue gains, vermillion costs."
    return svg.figure(LEFT + WIDTH * len(domains) + 70, TOP + ROW * len(table) + 8, label, parts)


def gains_of(found: Discovery) -> Gains:
    """Paired gains where they were examined; differences of two shares, without an interval, for the rest."""
    step = found.step("examination")
    every = rows(step, "contenders")
    base = next((row for row in every if text(row, "kind") == "base"), {})
    won = winner_row(found)
    told: Gains = {}
    if changes_something(found) and any(measured(row, "winner_gain").known for row in rows(step, "domains")):
        told["winner"] = {
            text(r, "domain"): one for r in rows(step, "domains") if (one := measured(r, "winner_gain")).known
        }
    singles = [row for row in every if text(row, "kind") == "single"]
    for row in [*singles, *(row for row in every if text(row, "kind") in ("mixture", "uniform"))]:
        if row is not won or text(row, "kind") == "single":  # the winner has its row
            told[text(row, "label")] = _differences(row, base, found.domains)
    for row in rows(step, "elsewhere"):
        if (one := measured(row)).known and text(row, "expert"):
            told.setdefault(text(row, "expert"), {})[text(row, "domain")] = one
    for row in rows(step, "domains"):
        if (one := measured(row, "gain")).known and text(row, "expert"):
            told.setdefault(text(row, "expert"), {})[text(row, "domain")] = one
    return dict([(name, row) for name, row in told.items() if row][:MOST])


def _differences(row: Mapping[str, object], base: Mapping[str, object], domains: Sequence[str]) -> dict[str, Measured]:
    found = {}
    for domain in domains:
        pair = [measured(one, "values", f"accuracy:{domain}").estimate for one in (row, base)]
        if not math.isnan(sum(pair)):
            found[domain] = Measured(pair[0] - pair[1])
    return found


def _head(domain: str, k: int) -> Markup:
    turn = f"translate({svg.number(LEFT + WIDTH * (k + 0.5) - 4)} {svg.number(TOP - 8)}) rotate(-40)"
    return svg.group([svg.element("text", svg.shortened(domain, 18), transform=turn, class_="row")], domain)


def _cell(one: Measured | None, x: float, y: float, strongest: float, who: str) -> Markup:
    if one is None or not one.known:
        return svg.rect(x, y, WIDTH - 2, ROW - 2, fill="#f4f4f4")
    sure = bool(one.sure)
    parts = [svg.rect(x, y, WIDTH - 2, ROW - 2, fill=shade(one.estimate, strongest * 1.25))]
    if sure:
        parts.append(svg.rect(x + 1, y + 1, WIDTH - 4, ROW - 4, fill="none", stroke=INK, stroke_width="1.6"))
    ink = ink_on(shade(one.estimate, strongest * 1.25))
    parts.append(
        svg.text(
            x + WIDTH / 2 - 1, y + ROW / 2 + 3, points_text(one.estimate, 1), f"{ink} bold" if sure else ink, "middle"
        )
    )
    span = interval_text(one.low, one.high) or "no interval: a difference of two shares"
    return svg.group(parts, f"{who}: {points_text(one.estimate)} points {span}")
