"""Numbers of the capability report."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.discovering.numbers.point import Parts, Point, highest, lowest, mean, point, total
from reports.discovery.reading import Discovery, Node, number, rows, text


def capability(found: Discovery, parts: Parts) -> Iterator[Point]:
    """Of the base over all domains, in each of them, and of its opinion."""
    step = found.step("capability")
    domains = rows(step, "domains")
    if not domains:
        return
    shares = [number(row, "share") for row in domains]
    yield from point("capability/domains", len(domains))
    yield from point("capability/items", total(number(row, "n") for row in domains))
    for name, value in (("mean", mean(shares)), ("lowest", lowest(shares)), ("highest", highest(shares))):
        yield from point(f"capability/share_{name}", value)
    yield from point("capability/above_chance", sum(number(row, "low") > number(row, "chance") for row in domains))
    yield from point("capability/below_chance", sum(number(row, "high") < number(row, "chance") for row in domains))
    for key in ("asked", "read", "brier", "error", "tau", "yes_brier", "yes_error", "yes_tau"):
        yield from point(f"capability/opinion/{key}", number(step, "opinion", key))
    yield from point("capability/seconds", number(step, "seconds"))
    for row in domains:
        yield from _domain(row, parts.domains.get(text(row, "name"), ""))


def _domain(row: Node, domain: str) -> Iterator[Point]:
    for key in ("n", "right", "share", "low", "high", "p_mean", "brier", "chance", "opinion", "opinion_yes"):
        yield from point(f"capability/domain/{{domain}}/{key}", number(row, key), domain=domain)
    share = number(row, "share")
    yield from point("capability/domain/{domain}/above_chance", share - number(row, "chance"), domain=domain)
    yield from point("capability/domain/{domain}/opinion_error", number(row, "opinion") - share, domain=domain)
