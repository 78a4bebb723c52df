"""Numbers of training: what was kept, and the curves."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.discovering.numbers.point import Parts, Point, flag, highest, lowest, mean, point, total
from reports.discovery.reading import Discovery, Node, number, rows, text, truth
from reports.discovery.tables import last_of

CURVE = ("epoch", "loss", "accuracy", "low", "high", "alignment", "zone", "drift", "beta")


def training(found: Discovery, parts: Parts) -> Iterator[Point]:
    """Over all experts, and of each."""
    step = found.step("training")
    experts = rows(step, "experts")
    if not experts:
        return
    every = [epoch for row in experts for epoch in rows(row, "curve")]
    yield from point("training/experts", len(experts))
    yield from point("training/reached", sum(truth(row, "reached") is True for row in experts))
    yield from point("training/stopped", sum(bool(text(row, "stopped")) for row in experts))
    yield from point("training/given_up", sum(truth(row, "given_up") is True for row in experts))
    yield from point("training/restarts", total(number(row, "restarts") for row in experts))
    yield from point("training/parameters", total(number(row, "parameters") for row in experts))
    yield from point("training/accuracy_mean", mean(last_of(row).estimate for row in experts))
    yield from point("training/alignment_lowest", lowest(number(epoch, "alignment") for epoch in every))
    yield from point("training/drift_highest", highest(number(epoch, "drift") for epoch in every))
    yield from point("training/seconds", number(step, "seconds"))
    for row in experts:
        yield from _expert(row, parts.experts.get(text(row, "name"), ""))


def _expert(row: Node, expert: str) -> Iterator[Point]:
    curve, kept = rows(row, "curve"), last_of(row)
    for key in ("target", "best_step", "steps", "restarts", "parameters"):
        yield from point(f"training/{{expert}}/{key}", number(row, key), expert=expert)
    yield from point("training/{expert}/reached", flag(truth(row, "reached")), expert=expert)
    yield from point("training/{expert}/stopped", float(bool(text(row, "stopped"))), expert=expert)
    yield from point("training/{expert}/given_up", flag(truth(row, "given_up")), expert=expert)
    yield from point("training/{expert}/kept_accuracy", kept.estimate, expert=expert)
    yield from point("training/{expert}/kept_low", kept.low, expert=expert)
    yield from point("training/{expert}/kept_high", kept.high, expert=expert)
    first = number(curve[0], "accuracy") if curve and number(curve[0], "step") == 0 else float("nan")
    yield from point("training/{expert}/kept_gain", kept.estimate - first, expert=expert)
    yield from point("training/{expert}/alignment_lowest", lowest(number(e, "alignment") for e in curve), expert=expert)
    yield from point("training/{expert}/drift_highest", highest(number(e, "drift") for e in curve), expert=expert)
    for epoch in curve:
        for key in CURVE:
            yield from point(f"training/{{expert}}/{key}", number(epoch, key), number(epoch, "step"), expert=expert)
