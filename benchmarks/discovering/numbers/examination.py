"""Numbers of the examination: contenders, paired differences, domains."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.discovering.numbers.point import Parts, Point, flag, lowest, mean, point, spanned
from reports.discovery.reading import Discovery, Node, measured, number, paired_difference, rows, text, texts, truth
from reports.discovery.winner import main_measure, same_weights, weights_of, winner_row

KINDS = ("base", "uniform")


def examination(found: Discovery, parts: Parts) -> Iterator[Point]:
    """Over all, of every contender that has a fixed name, of the winner against rivals, by domain."""
    step = found.step("examination")
    every = rows(step, "contenders")
    if not every:
        return
    for key in ("scenarios", "seconds"):
        yield from point(f"examination/{key}", number(step, key))
    yield from point("examination/contenders", len(every))
    yield from point("examination/refused", sum(bool(texts(row, "objections")) for row in every))
    yield from point("examination/accepted", flag(truth(step, "accepted")))
    yield from _winner(found, parts)
    for contender, row in _named(found, parts):
        for name, measure in parts.measures.items():
            one = measured(row, "values", name)
            yield from spanned("examination/contender/{contender}/{measure}", one, contender=contender, measure=measure)
    yield from _domains(step, parts)
    yield from _elsewhere(step, parts)


def _named(found: Discovery, parts: Parts) -> Iterator[tuple[str, Node]]:
    """Contenders under fixed names; one may have two: the winner, and its slot."""
    measure, every = main_measure(found), rows(found.step("examination"), "contenders")
    won = winner_row(found)
    if won is not None:
        yield "winner", won
    for kind in KINDS:
        yield from ((kind, row) for row in [r for r in every if text(r, "kind") == kind][:1])
    singles = [row for row in every if text(row, "kind") == "single"]
    told = [row for row in singles if measured(row, "values", measure).known]
    if told:
        yield "best_single", max(told, key=lambda row: measured(row, "values", measure).estimate)
    taken: set[str] = set()
    for row in singles:
        slot = _slot(row, parts)
        if slot and slot not in taken:
            taken.add(slot)
            yield slot, row


def _slot(row: Node, parts: Parts) -> str:
    """Slot of the expert that a single contender is: the one with a weight, else the one of its label."""
    weighed = [name for name, weight in weights_of(row).items() if weight]
    name = weighed[0] if len(weighed) == 1 else text(row, "label")
    return parts.experts.get(name, "")


def _winner(found: Discovery, parts: Parts) -> Iterator[Point]:
    won = winner_row(found)
    if won is None:
        return
    for name, weight in weights_of(won).items():
        yield from point("examination/weight/{expert}", weight, expert=parts.experts.get(name, ""))
    measure = main_measure(found)
    same = [row for row in rows(found.step("search"), "candidates") if same_weights(row, won)]
    if same:
        flattered = number(same[0], "values", measure) - measured(won, "values", measure).estimate
        yield from point("examination/optimism", flattered)
    rivals = {text(row, "label"): name for name, row in _named(found, parts) if name not in ("winner", "best_single")}
    told: set[str] = set()
    for row in rows(found.step("examination"), "paired"):
        rival = rivals.get(text(row, "rival"), "")
        if text(row, "label") == text(won, "label") and rival not in told:
            told.add(rival)
            one = paired_difference(row)
            yield from spanned("examination/against/{contender}", one, contender=rival)


def _domains(step: Node, parts: Parts) -> Iterator[Point]:
    every = rows(step, "domains")
    for who, key in (("experts", "gain"), ("winner", "winner_gain")):
        signs = [one.sure for row in every if (one := measured(row, key)).known]
        for word, sign in (("better", 1), ("open", 0), ("worse", -1)) if signs else ():
            yield from point(f"examination/{who}_{word}", signs.count(sign))
    for row in every:
        domain = parts.domains.get(text(row, "domain"), "")
        for key in ("base", "single", "winner", "gain", "winner_gain"):
            yield from spanned(f"examination/domain/{{domain}}/{key}", measured(row, key), domain=domain)


def _elsewhere(step: Node, parts: Parts) -> Iterator[Point]:
    """What every expert alone gains and costs in domains that are not its own."""
    for name, expert in parts.experts.items():
        told = [one for row in rows(step, "elsewhere") if text(row, "expert") == name and (one := measured(row)).known]
        gains = [one.estimate for one in told]
        yield from point("examination/elsewhere/{expert}/mean", mean(gains), expert=expert)
        yield from point("examination/elsewhere/{expert}/lowest", lowest(gains), expert=expert)
        if told:
            worse = sum(one.sure < 0 for one in told)
            yield from point("examination/elsewhere/{expert}/worse", worse, expert=expert)
