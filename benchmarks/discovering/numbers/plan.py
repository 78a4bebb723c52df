"""Numbers of the plan: how many experts, how stable the division is."""

from __future__ import annotations

import math
from collections.abc import Iterator

from benchmarks.discovering.numbers.point import Parts, Point, mean, point
from reports.discovery.reading import Discovery, Node, at, finite, number, numbers, rows, text, texts


def plan(found: Discovery, parts: Parts) -> Iterator[Point]:
    """Of the division that was chosen, of all that were weighed, and of every planned expert."""
    step = found.step("plan")
    experts = rows(step, "experts")
    if not experts:
        return
    yield from point("plan/experts", len(experts))
    yield from point("plan/domains", sum(len(texts(row, "domains")) for row in experts))
    yield from point("plan/left_out", len(rows(step, "left_out")))
    yield from point("plan/seconds", number(step, "seconds"))
    yield from point("plan/p", number(step, "p"))
    for name, value in zip(texts(step, "domains"), numbers(step, "reliability"), strict=False):  # a file may lack some
        yield from point("plan/domain/{domain}/reliability", value, domain=parts.domains.get(name, ""))
    yield from _similarity(step)
    for row in rows(step, "stability"):
        yield from _number(row, number(step, "chosen"))
    for row in experts:
        expert = parts.experts.get(text(row, "name"), "")
        yield from point("plan/{expert}/domains", len(texts(row, "domains")), expert=expert)
        yield from point("plan/{expert}/target", number(row, "target"), expert=expert)


def _number(row: Node, chosen: float) -> Iterator[Point]:
    experts = number(row, "experts")
    if math.isnan(experts):
        return
    for key in ("stability", "low", "high", "silhouette"):
        yield from point(f"plan/number/{{number}}/{key}", number(row, key), number=f"n{round(experts):02d}")
    if experts == chosen:
        yield from point("plan/stability", number(row, "stability"))
        yield from point("plan/silhouette", number(row, "silhouette"))


def _similarity(step: Node) -> Iterator[Point]:
    """Means over pairs of domains; a matrix of another shape than the domains has none."""
    names, table = texts(step, "domains"), at(step, "similarity")
    owner = {domain: k for k, row in enumerate(rows(step, "experts")) for domain in texts(row, "domains")}
    pairs: dict[bool, list[float]] = {True: [], False: []}
    square = isinstance(table, list) and len(table) == len(names)
    if not square or not all(isinstance(line, list) and len(line) == len(names) for line in table):
        return
    for i, a in enumerate(names):
        for j, b in enumerate(names[:i]):
            if a in owner and b in owner:
                pairs[owner[a] == owner[b]].append(finite(table[i][j]))
    yield from point("plan/similarity_within", mean(pairs[True]))
    yield from point("plan/similarity_between", mean(pairs[False]))
