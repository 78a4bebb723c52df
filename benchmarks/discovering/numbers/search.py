"""Numbers of the search: candidates, hypervolume, guidance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.discovering.numbers.point import Parts, Point, highest, known, lowest, mean, point
from reports.discovery.goals import LOWER
from reports.discovery.reading import Discovery, Node, number, rows, text, truth
from reports.discovery.winner import same_weights, winner_row

ADVICE = ("asked", "malformed", "followed", "helped", "gain", "tau_rule", "tau_advice")
GUIDANCE = ("volume_rule", "volume_advice", "tau_rule", "tau_advice")


def search(found: Discovery, parts: Parts) -> Iterator[Point]:
    """Of the candidates, the generations, and guidance."""
    step = found.step("search")
    if not step:
        return
    yield from _candidates(found, parts)
    yield from _generations(step)
    for key in ("passes", "surrogate_evaluations", "seconds"):
        yield from point(f"search/{key}", number(step, key))
    for key in ADVICE:
        yield from point(f"search/advice/{key}", number(step, "advice", key))
    said = [text(row, "status") for row in rows(step, "guidance")]
    for status in ("rule", "followed", "beaten", "malformed") if said else ():
        yield from point(f"search/decisions/{status}", said.count(status))


def _candidates(found: Discovery, parts: Parts) -> Iterator[Point]:
    every = rows(found.step("search"), "candidates")
    if not every:
        return
    sound = [row for row in every if truth(row, "feasible") is True]
    best = [row for row in every if truth(row, "on_front") is True]
    for name, some in (("candidates", every), ("feasible", sound), ("on_front", best)):
        yield from point(f"search/{name}", len(some))
    won = winner_row(found)
    same = [row for row in every if won is not None and same_weights(row, won)][:1]
    for name, measure in parts.measures.items():
        values = [number(row, "values", name) for row in sound]
        yield from point("search/best/{measure}", lowest(values) if name in LOWER else highest(values), measure=measure)
        for row in same:
            yield from point("search/winner/{measure}", number(row, "values", name), measure=measure)
    for name, expert in parts.experts.items():
        weights = [number(row, "alphas", name) for row in best]
        for word, value in (("lowest", lowest(weights)), ("mean", mean(weights)), ("highest", highest(weights))):
            yield from point(f"search/{{expert}}/weight_{word}", value, expert=expert)


def _generations(step: Node) -> Iterator[Point]:
    """Rounds follow each other: the step of a generation is its place in the whole curve."""
    curve = rows(step, "curve")
    if not curve:
        return
    volumes = known(number(row, "hypervolume") for row in curve)
    yield from point("search/rounds", len({number(row, "round") for row in curve}))
    yield from point("search/generations", len(curve))
    yield from point("search/hypervolume_last", volumes[-1] if volumes else float("nan"))
    yield from point("search/hypervolume_gain", volumes[-1] - volumes[0] if volumes else float("nan"))
    for place, row in enumerate(curve, 1):
        yield from point("search/hypervolume", number(row, "hypervolume"), place)
        yield from point("search/evaluations", number(row, "evaluations"), place)
    for row in rows(step, "guidance"):
        place = _place(row, curve)
        for key in GUIDANCE if place else ():
            yield from point(f"search/guidance/{key}", number(row, key), place)


def _place(row: Node, curve: Sequence[Node]) -> int:
    """Place of the generation at which guidance looked; 0 where the curve does not have it."""
    mine = (number(row, "round"), number(row, "generation"))
    return next((k for k, g in enumerate(curve, 1) if (number(g, "round"), number(g, "generation")) == mine), 0)
