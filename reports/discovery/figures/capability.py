"""What the base can do in every domain, and what its own expert and the winner do there."""

from __future__ import annotations

import math

from markupsafe import Markup

from reports.discovery.figures.chart import BASE, MARKS, OWN, WINNER, legend, row_name
from reports.discovery.reading import Discovery, Measured, measured, number, rows, text
from reports.discovery.winner import changes_something
from reports.figures import svg
from reports.format import interval_text, value_text
from reports.names import INK

LEFT, RIGHT, TOP = 176.0, 690.0, 34.0
LINE, GAP = 13.0, 12.0


def capability(found: Discovery) -> Markup:
    """Share of right answers by domain, with intervals; chance is a tick."""
    measures = {domain: _measures(found, domain) for domain in found.domains}
    measures = {domain: known for domain, known in measures.items() if known}
    if not measures:
        return Markup("")
    words = [w for w in (BASE, OWN, WINNER) if any(w in known for known in measures.values())]
    axis, row = svg.Axis(0, 1, LEFT, RIGHT), LINE * len(words) + GAP
    bottom = TOP + row * len(measures)
    parts = [svg.horizontal_axis(axis, bottom, TOP, "share of right answers, with 95 % intervals", about=10)]
    parts += [legend(words, LEFT + 6, 18), _chance_key(LEFT + 6 + 92 * len(words))]
    for i, (domain, known) in enumerate(measures.items()):
        y = TOP + row * i
        parts += [svg.line(0, y, RIGHT, y, "grid"), row_name(domain, LEFT - 8, y + row / 2 + 4)]
        parts.append(_chance(axis, _chance_of(found, domain), y, row))
        parts += [_measure(axis, word, one, y + GAP / 2 + LINE * (k + 0.5))
                  for k, word in enumerate(words) if (one := known.get(word))]  # fmt: skip
    label = "Share of right answers by domain: base, own expert and winner, with intervals; a table follows."
    return svg.figure(RIGHT + 12, bottom + 36, label, parts)


def _measures(found: Discovery, domain: str) -> dict[str, Measured]:
    """Those of the examination where there was one, else the capability report's."""
    for row in rows(found.step("examination"), "domains"):
        if text(row, "domain") == domain:
            words = {BASE: "base", OWN: "single", **({WINNER: "winner"} if changes_something(found) else {})}
            return {word: one for word, key in words.items() if (one := measured(row, key)).known}
    for row in rows(found.step("capability"), "domains"):
        if text(row, "name") == domain and not math.isnan(share := number(row, "share")):
            return {BASE: Measured(share, number(row, "low"), number(row, "high"))}
    return {}


def _chance_of(found: Discovery, domain: str) -> float:
    every = rows(found.step("capability"), "domains")
    return next((number(row, "chance") for row in every if text(row, "name") == domain), math.nan)


def _chance(axis: svg.Axis, chance: float, y: float, row: float) -> Markup:
    if math.isnan(chance):
        return Markup("")
    return svg.group([svg.line(axis(chance), y + 3, axis(chance), y + row - 3, "zero")], f"chance {value_text(chance)}")


def _chance_key(x: float) -> Markup:
    return svg.line(x, 8, x, 20, "zero") + svg.text(x + 7, 18, "chance", "tick")


def _measure(axis: svg.Axis, word: str, one: Measured, y: float) -> Markup:
    shape, colour, hollow = MARKS[word]
    parts = [svg.whisker(axis, one.low, one.high, y, colour if word != BASE else INK, width="1.6")]
    parts.append(svg.mark(shape, axis(one.estimate), y, 4.2, colour, hollow=hollow))
    return svg.group(parts, f"{word}: {value_text(one.estimate)} {interval_text(one.low, one.high)}")
