"""Sizes of a discovery that a budget of time leaves: estimated beforehand from measured rates, and then kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.discovering.settings import DiscoverySettings

LEAST = {
    "items": 20, "count": 40, "steps": 20, "watching": 10, "generations": 10,
    "search_items": 10, "scenarios": 10, "preserve_items": 10,
}  # fmt: skip
"""Sizes that a budget may lower, and how far."""
KEPT = 0.85
"""Share of the budget that is planned with; rates differ from step to step."""
FACTORS = tuple(round(1 - 0.05 * step, 2) for step in range(20))
STEPS_AN_ITEM = 1.0
"""Optimiser steps for each item of an expert's data, where nothing is asked for."""
EXPERTS = 4
"""How many experts are planned with where they are to be found by measurement."""
READ_TWICE = 2.0


@dataclass(frozen=True)
class Rates:
    """What was measured on this machine with this base.

    Attributes
    ----------
    item : float
        Seconds to read an item with its listed answers.
    step : float
        Seconds of an optimiser step of one expert.
    """

    item: float
    step: float


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


def plan_sizes(settings: DiscoverySettings, domains: int, rates: Rates, minutes: float | None) -> Planned:
    """The largest sizes that are estimated to keep a budget; those that are asked for where there is none."""
    for factor in FACTORS:
        scaled = _scaled(settings, factor)
        seconds = estimated(scaled, domains, rates)
        if minutes is None or factor == FACTORS[-1] or sum(seconds.values()) <= KEPT * 60 * minutes:
            break
    changed = {name: value for name in LEAST if (value := getattr(scaled, name)) != getattr(settings, name)}
    return Planned(scaled, seconds, factor, changed)


def with_sizes(settings: DiscoverySettings, sizes: Mapping[str, Any]) -> DiscoverySettings:
    """Settings with the sizes that were planned earlier."""
    return settings.model_copy(update={name: value for name, value in sizes.items() if name in LEAST})


def estimated(settings: DiscoverySettings, domains: int, rates: Rates) -> dict[str, float]:
    """Seconds of every step, as multiples of the measured rates."""
    experts = settings.experts or min(EXPERTS, domains)
    anchors = (experts + 1) * (experts + 2) / 2
    checks = 0.0 if settings.checks == ("none",) else READ_TWICE
    return {
        "1_capability": rates.item * domains * settings.items * READ_TWICE,
        "2_plan": rates.item * domains * settings.items * 3,
        "3_data": rates.item * experts * settings.count * checks / 0.75,
        "4_training": experts * steps_of(settings) * rates.step,
        "5_search": rates.item * domains * settings.search_items * (anchors + 20),
        "6_examination": rates.item * domains * settings.scenarios * (experts + 8),
        "7_preserve": rates.item * len(settings.preserve or ("", "", "")) * settings.preserve_items * 10,
    }


def steps_of(settings: DiscoverySettings) -> int:
    """Optimiser steps of each expert."""
    return settings.steps or max(1, round(settings.count * STEPS_AN_ITEM))


def _scaled(settings: DiscoverySettings, factor: float) -> DiscoverySettings:
    if factor == 1:
        return settings
    asked = {name: getattr(settings, name) for name in LEAST} | {"steps": steps_of(settings)}
    sizes = {name: max(min(value, LEAST[name]), int(value * factor)) for name, value in asked.items()}
    return settings.model_copy(update=sizes)
