"""What the verdict sums up, line by line: experts, rivals, domains that pay, tasks that had to stay."""

from __future__ import annotations

import math
from collections.abc import Iterator

from reports.discovery.reading import Discovery, Measured, Node, measured, number, paired_difference, rows, text, truth
from reports.discovery.verdict import points, span
from reports.format import value_text


def details(found: Discovery) -> list[str]:
    """A line each, with its interval; what was not examined has none."""
    examined = found.step("examination")
    return [*_experts(examined), *_rivals(examined), *_costs(examined), *_tasks(found.step("preserve"))]


def _experts(examined: Node) -> Iterator[str]:
    for row in rows(examined, "domains"):
        if expert := text(row, "expert"):
            yield f"{expert} on {text(row, 'domain')}: {_judged(measured(row, 'gain'), 'the base')}"


def _rivals(examined: Node) -> Iterator[str]:
    for row in rows(examined, "paired"):
        apart = " (a rival that breaks a constraint)" if truth(row, "keeps") is False else ""
        yield f"{text(row, 'label')} against {text(row, 'rival')}: {_judged(paired_difference(row), 'it')}{apart}"


def _costs(examined: Node) -> Iterator[str]:
    for row in rows(examined, "domains"):
        if (one := measured(row, "winner_gain")).sure < 0:
            yield f"It costs {text(row, 'domain')}: {_change(one)}"


def _tasks(preserved: Node) -> Iterator[str]:
    for row in rows(preserved, "tasks"):
        kept, name = truth(row, "preserved"), text(row, "name")
        if reason := text(row, "reason"):
            yield f"{name} is not measured: {reason}"
        elif kept is None:
            yield f"{name} has nothing to lose: {100 * number(row, 'before'):.0f} of 100 are right with the base"
        else:
            yield f"{name} {'is preserved' if kept else 'is NOT shown to be preserved'}: {_within(row)}"


def _within(row: Node) -> str:
    """How a task changed, with its interval and margin: shares in points, log-probabilities in nats a token."""
    one, margin = paired_difference(row), abs(number(row, "margin"))
    if text(row, "kind") != "perplexity":
        return f"{_change(one)}, margin {100 * margin:.0f} points"
    return f"{_nats(one.estimate)} nats a token [{_nats(one.low)}, {_nats(one.high)}], margin {margin:g} nats"


def _nats(value: float) -> str:
    return ("+" if value > 0 else "") + value_text(value, 3)


def _judged(one: Measured, rival: str) -> str:
    if not one.known:
        return "not measured"
    if math.isnan(one.low + one.high):
        return f"{_change(one)}, how surely is not known"
    word = {1: "better than", 0: "not told apart from", -1: "worse than"}[one.sure]
    return f"{word} {rival}, {_change(one)}"


def _change(one: Measured) -> str:
    return f"{points(one.estimate)} points{span(one)}"
