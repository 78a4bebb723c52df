"""From what methods say of the rows that choose to the recommended one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks.choice.asked import Asked
from benchmarks.choice.candidate import AS_IT_IS, Candidate, Tried, at_margins, best_margin
from benchmarks.choice.material import Ground, Material, tried, untouched, ways_of
from benchmarks.choice.rule import Recommendation, recommend
from benchmarks.choice.whole_rule import whole_rule

Progress = Callable[[str], None]


def choose(
    grounds: Sequence[Ground],
    materials: Sequence[Sequence[Material]],
    asked: Asked,
    progress: Progress = lambda _: None,
) -> Recommendation:
    """Cross-fit every way of every method, and apply the rule.

    Parameters
    ----------
    grounds : sequence of Ground
        One per split of the task.
    materials : sequence of sequences of Material
        Per method one per split, in their order.
    asked : Asked
    progress : callable
        Called with the name of each method before it is looked at.

    Raises
    ------
    ChoiceError
        If no method has a utility on the rows that choose.
    """
    every: list[list[Candidate]] = []
    free: list[Candidate] = []
    for of_method in materials:
        progress(of_method[0].method)
        pairs = list(zip(of_method, grounds, strict=True))
        free.append(_free([untouched(material, ground, asked) for material, ground in pairs], of_method[0]))
        every += _candidates(pairs, asked)
    found = recommend([best_margin(margins, asked) for margins in every], free, asked)
    if found.best is None:
        return found
    progress("the choice itself")
    return replace(found, whole=whole_rule([one for margins in every for one in margins], grounds, asked))


def _candidates(pairs: Sequence[tuple[Material, Ground]], asked: Asked) -> list[list[Candidate]]:
    """Per way that the method has on every split one for each margin."""
    by_split = [{way.name: way for way in ways_of(material, ground, asked)} for material, ground in pairs]
    found = []
    for name, way in by_split[0].items():
        if not all(name in ways for ways in by_split):
            continue
        tries: list[list[Tried]] = [
            tried(ways[name], material, ground, asked) for ways, (material, ground) in zip(by_split, pairs, strict=True)
        ]
        material = pairs[0][0]
        needs = way.needs_group or material.knows_group
        found.append(at_margins(material.method, name, tries, needs, material.cost, asked))
    return found


def _free(tries: list[Tried], material: Material) -> Candidate:
    return Candidate(material.method, AS_IT_IS, tuple(tries), material.knows_group, material.cost)
