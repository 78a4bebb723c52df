"""Numbers of the data: drafts, checks, learning zone, cost."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

from benchmarks.discovering.numbers.point import Parts, Point, flag, point, total
from reports.discovery.reading import Discovery, Node, number, rows, text, truth

OWN = (
    "drafts", "accepted", "rejected", "acceptance", "acceptance_low", "acceptance_high", "filled", "variants",
    "dollars", "seconds", "items_a_minute",
)  # fmt: skip


def data(found: Discovery, parts: Parts) -> Iterator[Point]:
    """Over all experts, by check, by domain and by expert."""
    step = found.step("data")
    experts = rows(step, "experts")
    if not experts:
        return
    drafts, accepted = (total(number(row, key) for row in experts) for key in ("drafts", "accepted"))
    yield from point("data/drafts", drafts)
    yield from point("data/accepted", accepted)
    yield from point("data/acceptance", accepted / drafts if drafts else math.nan)
    yield from point("data/filled", total(number(row, "filled") for row in experts))
    yield from point("data/in_zone", sum(truth(row, "zone", "inside") is True for row in experts))
    yield from point("data/dollars", total(number(row, "dollars") for row in experts))
    yield from point("data/seconds", number(step, "seconds"))
    for name, check in parts.checks.items():
        yield from point(
            "data/check/{check}/failed", total(number(r, "checks", name, "failed") for r in experts), check=check
        )
    yield from _topics(experts, parts)
    for row in experts:
        yield from _expert(row, parts, parts.experts.get(text(row, "name"), ""))


def _topics(experts: list[Node], parts: Parts) -> Iterator[Point]:
    """A domain that several experts learn has the drafts of all; its difficulty is the last one's."""
    by_domain: dict[str, list[Node]] = defaultdict(list)
    for row in experts:
        for topic in rows(row, "topics"):
            by_domain[parts.domains.get(text(topic, "name"), "")].append(topic)
    for domain, topics in by_domain.items():
        drafts, accepted = (total(number(t, key) for t in topics) for key in ("drafts", "accepted"))
        yield from point("data/topic/{domain}/difficulty", number(topics[-1], "difficulty"), domain=domain)
        yield from point("data/topic/{domain}/drafts", drafts, domain=domain)
        yield from point("data/topic/{domain}/accepted", accepted, domain=domain)
        yield from point("data/topic/{domain}/acceptance", accepted / drafts if drafts else math.nan, domain=domain)


def _expert(row: Node, parts: Parts, expert: str) -> Iterator[Point]:
    for key in OWN:
        yield from point(f"data/{{expert}}/{key}", number(row, key), expert=expert)
    for key in ("mean", "low", "high"):
        yield from point(f"data/{{expert}}/zone_{key}", number(row, "zone", key), expert=expert)
    yield from point("data/{expert}/zone_inside", flag(truth(row, "zone", "inside")), expert=expert)
    for name, check in parts.checks.items():
        for key in ("failed", "share"):
            value = number(row, "checks", name, key)
            yield from point(f"data/{{expert}}/check/{{check}}/{key}", value, expert=expert, check=check)
