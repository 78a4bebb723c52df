"""Which of the experts that fit stand together in one answer: what they require, bar, and how long a chain may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from serving.router.profile import LONGEST_CHAIN, ExpertProfile


@dataclass
class Choice:
    """Experts that stand together.

    Attributes
    ----------
    experts : dict of str to str
        Names, and who required each: itself for one that was chosen.
    refused : dict of str to str
        Why an expert that fits was left out.
    """

    experts: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def stand_together(ranked: Sequence[str], profiles: Mapping[str, ExpertProfile], at_most: int) -> Choice:
    """Take experts in their order, each with all that it requires, as long as nothing bars it.

    Parameters
    ----------
    ranked : sequence of str
        Experts that fit, the best first.
    profiles : mapping of str to ExpertProfile
        All that there are.
    at_most : int
        Experts taken for their own sake.
    """
    choice = Choice()
    chosen = 0
    for name in ranked:
        if chosen == at_most:
            break
        wanted, reason = _with_required(name, profiles)
        reason = reason or _bar([*choice.experts, *(one for one in wanted if one not in choice.experts)], profiles)
        if reason:
            choice.refused[name] = reason
            continue
        choice.experts |= {one: name for one in wanted if one not in choice.experts}
        choice.experts[name] = name
        chosen += 1
    choice.experts = {name: choice.experts[name] for name in in_order(choice.experts, profiles)}
    return choice


def in_order(names: Mapping[str, str], profiles: Mapping[str, ExpertProfile]) -> list[str]:
    """Experts by ``load_order``, what one requires before it, otherwise as they were chosen."""
    left = sorted(names, key=lambda name: profiles[name].load_order)
    placed: list[str] = []
    while left:
        free = (name for name in left if not any(other in left for other in profiles[name].requires if other != name))
        first = next(free, left[0])  # a circle: load_order alone
        placed.append(first)
        left.remove(first)
    return placed


def _with_required(name: str, profiles: Mapping[str, ExpertProfile]) -> tuple[list[str], str]:
    """An expert with all that it requires, and theirs; or why that is impossible."""
    found, stack = {name: None}, [name]
    while stack:
        profile = profiles[stack.pop()]
        for other in profile.requires:
            if other not in profiles:
                return [], f"{profile.name} requires {other}, which is not here"
            if not profile.accepts(profiles[other]):
                asked = profile.requires[other]
                return [], f"{profile.name} requires {other} {asked}; {profiles[other].version} is here"
            if other not in found:
                found[other] = None
                stack.append(other)
    return list(found), ""


def _bar(names: Sequence[str], profiles: Mapping[str, ExpertProfile]) -> str:
    """What keeps these experts from standing together."""
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            if profiles[first].bars(profiles[second]):
                return f"{first} and {second} do not stand together"
    longest = min((profiles[name].max_chain for name in names), default=LONGEST_CHAIN)
    if len(names) > longest:
        least = next(name for name in names if profiles[name].max_chain == longest)
        return f"{least} stands in answers of at most {longest} experts"
    return ""
