"""Sizes of a discovery that a budget of time leaves: estimated beforehand from measured rates, and then kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.discovering.settings import DiscoverySettings

LEAST = {
    "items": 20, "count": 40, "steps": 20, "watching": 10, "generations": 10,
    "search_items": 10, "scenarios": 10, "preserve_items": 10, "probes": 16, "candidates": 4,
}  # fmt: skip
"""Sizes that a budget may lower, and how far."""
EXAMINED = 100
"""Scenarios of the examination in all, at least."""
KEPT = 0.85
"""Share of the budget that is planned with; rates differ from step to step."""
FACTORS = tuple(round(1 - 0.05 * step, 2) for step in range(20))
STEPS_AN_ITEM = 2 / 3
"""Optimiser steps for each item of an expert's data, where nothing is asked for."""
EXPERTS = 6
"""How many experts are planned with where they are to be found by measurement."""
BATCH = 16
"""Items of an optimiser step."""
NEUTRAL = 48
"""Texts that every look at an expert reads for its drift."""
SWAPPED = 0.3
"""Share of items that have group terms to exchange, and are read twice."""
WIDE = 1.25
"""A mixture has the ranks of all its experts, and takes so much longer than one of them."""
PROTECTED = 15
"""Items that a set is guarded against in the time of one draft; every expert's set is guarded anew."""
PRESERVED = ("tools", "tools_format", "persona", "bias", "perplexity")
"""What must stay where nothing is named."""
TRIED = 5
"""Members of the front that are examined."""


@dataclass(frozen=True)
class Rates:
    """What was measured on this machine with this base.

    Attributes
    ----------
    item : float
        Seconds to read an item with its listed answers.
    domain : float
        Seconds that a domain takes beside its items: what the base is asked of itself.
    read : float
        Seconds in which one of several adapters reads an item.
    trained : float
        Seconds of an item in an optimiser step of one expert.
    draft : float
        Seconds of a draft with its checks.
    """

    item: float
    domain: float
    read: float
    trained: float
    draft: float


@dataclass(frozen=True)
class Planned:
    """Sizes, and what they are estimated to take.

    Attributes
    ----------
    settings : DiscoverySettings
        With those sizes.
    seconds : mapping of step name to float
    factor : float
        By which sizes were scaled; 1: as they were asked for.
    sizes : mapping
        What differs from what was asked for.
    """

    settings: DiscoverySettings
    seconds: Mapping[str, float]
    factor: float
    sizes: Mapping[str, int]


def too_long(found: Planned, minutes: float | None) -> str:
    """What people are told of a budget that even the smallest sizes are estimated to break; "" of others."""
    whole = sum(found.seconds.values()) / 60
    if minutes is None or whole <= minutes:
        return ""
    return (
        f"Even the smallest sizes are estimated to take {whole:.1f} minutes, and {minutes:g} are given: the budget "
        "will end the run, and the same command goes on. Name fewer domains or experts, or give it more time."
    )


def plan_sizes(settings: DiscoverySettings, domains: int, rates: Rates, minutes: float | None) -> Planned:
    """The largest sizes that are estimated to keep a budget; those that are asked for where there is none."""
    for factor in FACTORS:
        lower = scaled(settings, factor, domains)
        seconds = estimated(lower, domains, rates)
        if minutes is None or factor == FACTORS[-1] or sum(seconds.values()) <= KEPT * 60 * minutes:
            break
    changed = {name: value for name in LEAST if (value := getattr(lower, name)) != getattr(settings, name)}
    return Planned(lower, seconds, factor, changed)


def with_sizes(settings: DiscoverySettings, sizes: Mapping[str, Any]) -> DiscoverySettings:
    """Settings with the sizes that were planned earlier."""
    return settings.model_copy(update={name: value for name, value in sizes.items() if name in LEAST})


def estimated(settings: DiscoverySettings, domains: int, rates: Rates) -> dict[str, float]:
    """Seconds of every step, as multiples of the measured rates."""
    experts = settings.experts or min(EXPERTS, domains)
    anchors = (experts + 1) * (experts + 2) / 2
    steps = steps_of(settings)
    looks = 1 + steps / max(1, settings.count / BATCH)
    look = settings.watching * domains / experts + 2 * settings.probes + NEUTRAL
    protected = domains * (settings.items + settings.watching + settings.search_items + settings.scenarios)
    mixtures = anchors + 3 * experts + settings.rounds * settings.candidates
    return {
        "1_capability": domains * (settings.items * rates.item + rates.domain),
        "2_plan": domains * settings.items * rates.trained,
        "3_data": experts * rates.draft * (settings.count + protected / PROTECTED),
        "4_training": experts * (steps * BATCH * rates.trained + looks * look * rates.read),
        "5_search": domains * settings.search_items * (1 + SWAPPED) * mixtures * rates.read * WIDE,
        "6_examination": domains * settings.scenarios * (1 + SWAPPED) * (experts + 2 + TRIED) * rates.read,
        "7_preserve": len(settings.preserve or PRESERVED) * settings.preserve_items * 4 * rates.item,
    }


def steps_of(settings: DiscoverySettings) -> int:
    """Optimiser steps of each expert."""
    return settings.steps or max(1, round(settings.count * STEPS_AN_ITEM))


def scaled(settings: DiscoverySettings, factor: float, domains: int) -> DiscoverySettings:
    """Settings with all sizes so many times what they are, none below its least; larger ones are not made of small."""
    if factor == 1:
        return settings
    asked = {name: getattr(settings, name) for name in LEAST} | {"steps": steps_of(settings)}
    least = {**LEAST, "scenarios": max(LEAST["scenarios"], math.ceil(EXAMINED / domains))}
    sizes = {name: max(min(value, least[name]), int(value * factor)) for name, value in asked.items()}
    return settings.model_copy(update=sizes)
