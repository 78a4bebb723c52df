"""Numbers of what had to stay, of the gates, and of what all of it cost."""

from __future__ import annotations

import math
from collections.abc import Iterator

from benchmarks.discovering.numbers.point import Parts, Point, flag, point, total
from reports.discovery.figures.seconds import seconds_by_step
from reports.discovery.reading import Discovery, number, rows, text, truth


def preserve(found: Discovery, parts: Parts) -> Iterator[Point]:
    """Of every task that had to stay."""
    step = found.step("preserve")
    tasks = rows(step, "tasks")
    if not tasks:
        return
    yield from point("preserve/tasks", len(tasks))
    yield from point("preserve/preserved", sum(truth(row, "preserved") is True for row in tasks))
    yield from point("preserve/seconds", number(step, "seconds"))
    for row in tasks:
        task = parts.tasks.get(text(row, "name"), "")
        for key in ("n", "before", "after", "difference", "low", "high", "margin"):
            yield from point(f"preserve/task/{{task}}/{key}", number(row, key), task=task)
        yield from point("preserve/task/{task}/preserved", flag(truth(row, "preserved")), task=task)


def gates(found: Discovery, parts: Parts) -> Iterator[Point]:
    """Of every gate."""
    step = found.step("gates")
    every = rows(step, "gates")
    if not every:
        return
    for word, want in (("passed", True), ("failed", False), ("unmeasured", None)):
        yield from point(f"gates/{word}", sum(truth(row, "passed") is want for row in every))
    for row in every:
        gate = parts.gates.get(text(row, "id"), "")
        yield from point("gates/gate/{gate}/value", number(row, "value"), gate=gate)
        yield from point("gates/gate/{gate}/bound", number(row, "bound"), gate=gate)
        yield from point("gates/gate/{gate}/passed", flag(truth(row, "passed")), gate=gate)


def cost(found: Discovery, _: Parts) -> Iterator[Point]:
    """Time of all steps and what providers took for the data."""
    told = seconds_by_step(found)
    whole = total(told.values())
    yield from point("cost/seconds", whole)
    yield from point("cost/dollars", total(number(row, "dollars") for row in rows(found.step("data"), "experts")))
    for step, took in told.items():
        yield from point("cost/share/{step}", took / whole if whole else math.nan, step=step)
