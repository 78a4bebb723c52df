"""How fast a base reads, learns and has items made here: little of each is done, and the difference of two counts.

Of a budget a tenth is spent on it at most. The first domain is looked at alone, part by part, and the clock is asked
before each part; as many domains as the rest of that tenth allows follow. What could not be measured is guessed as a
multiple of reading, and told.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.discovering.context import Context
from benchmarks.discovering.sizing.sizes import Rates

if TYPE_CHECKING:
    from llm_experts.discovery.measuring.domain import Domain

SHARE = 0.10
"""Share of a budget in which rates are measured; what was begun then is finished."""
READ = (2, 8)
"""Items of each domain that are read: with what the base is asked of itself, and without."""
STEPS = (1, 3)
"""Optimiser steps."""
DRAFTED = (1, 5)
"""Drafts of each domain."""
CHECKED = 8
"""Items that each of the protected sets has while drafts are timed."""
LANES = 4
"""Adapters that read together."""
GUESSED = {"read": 1.0, "trained": 3.0, "draft": 4.0}
"""Rates as multiples of reading an item with the base, where there was no time to measure them: as on nano."""
Clock = Callable[[], float]


@dataclass(frozen=True)
class Looked:
    """Rates, and what they are of.

    Attributes
    ----------
    rates : Rates
    domains : int
        How many they were measured on, the others being taken to be like them.
    guessed : tuple of str
        Names of rates that there was no time to measure.
    """

    rates: Rates
    domains: int
    guessed: tuple[str, ...] = ()

    def told(self, domains: int, minutes: float | None) -> str:
        """What people are told where a budget allowed no look at all of so many domains; "" where it did."""
        if minutes is None or (self.domains >= domains and not self.guessed):
            return ""
        names = ", ".join(self.guessed)
        guessed = f" No time was left for rates of {names}: guessed as multiples of reading." if names else ""
        return (
            f"In a tenth of {minutes:g} minutes the speed here could be measured on {self.domains} of {domains} "
            f"domains.{guessed} Sizes are planned again after every step, from what it took."
        )


def rates_of(context: Context) -> Looked:
    """Rates of this machine; nothing that is measured here is used otherwise.

    Raises
    ------
    BudgetEndedError
        If loading the base and the first part leave nothing of the budget.
    """
    clock, deadline, domains = context.deadline.clock, context.deadline, context.domains
    _ = context.base  # every run needs it: no part of what is measured
    deadline.check()
    begun = clock()
    until = math.inf if deadline.seconds is None else begun + SHARE * deadline.seconds
    found = _looked(context, domains[:1], until)
    spent = clock() - begun
    left = until - begun - spent
    more = len(domains) if spent * len(domains) <= left else int(left / spent)
    if more > 1:
        found = _looked(context, spread(domains, more), until, found)
    deadline.check()
    return found


def spread(domains: Sequence[Domain], count: int) -> list[Domain]:
    """So many of the domains, evenly apart."""
    return [domains[number * len(domains) // count] for number in range(count)]


def _looked(context: Context, domains: Sequence[Domain], until: float, before: Looked | None = None) -> Looked:
    """Rates of some domains; those that there is no time for are as they were before, or guessed."""
    clock = context.deadline.clock
    item = _measured(context, domains, clock, READ[1], opinions=False) / (READ[1] * len(domains))
    fixed = max(0.0, _measured(context, domains, clock, READ[0], opinions=True) / len(domains) - item * READ[0])
    guessed = dict.fromkeys(GUESSED if before is None else before.guessed)
    rates = {name: item * times for name, times in GUESSED.items()}
    if before is not None:
        rates |= {name: getattr(before.rates, name) for name in GUESSED if name not in guessed}
    for name, timed in (("read", _read), ("trained", _trained), ("draft", _drafted)):
        context.deadline.check()
        if clock() > until:
            break
        rates[name] = timed(context, domains, clock) or item * GUESSED[name]
        guessed.pop(name, None)
    return Looked(Rates(item=item, domain=fixed, **rates), len(domains), tuple(guessed))


def _measured(context: Context, domains: Sequence[Domain], clock: Clock, count: int, opinions: bool) -> float:
    from llm_experts.discovery.measuring.capability import measure_capability

    start, settings = clock(), context.settings
    measure_capability(
        context.base, domains, items=count, how=settings.how, seed=settings.seed, opinions=opinions
    )  # fmt: skip
    return clock() - start


def _read(context: Context, domains: Sequence[Domain], clock: Clock) -> float:
    """Seconds in which one of several adapters reads an item."""
    from llm_experts.discovery.measuring.domain import scenarios
    from llm_experts.training.sequences.choices import choices_of
    from llm_experts.training.sequences.lanes import SequenceLanes

    base, settings = context.base, context.settings
    asked = scenarios(domains, "capability", READ[1], settings.seed)
    choices = choices_of(base, asked)
    lanes = SequenceLanes.fresh(base, settings.kind, [settings.rank] * LANES, [0] * LANES, start=context.start)
    start = clock()
    choices.logprobs(lanes, lanes.start)
    return (clock() - start) / (LANES * len(asked))


def _trained(context: Context, domains: Sequence[Domain], clock: Clock) -> float:
    """Seconds of an item in an optimiser step of one expert."""
    from llm_experts.discovery.planning.probe import BATCH, probe_domains

    settings, spent = context.settings, []
    for steps in (STEPS[0], *STEPS):
        start = clock()
        probe_domains(
            context.base, domains, steps=steps, items=2, seed=settings.seed, kind=settings.kind,
            rank=settings.rank, start=context.start,
        )  # fmt: skip
        spent.append(clock() - start)
    return max(0.0, spent[2] - spent[1]) / ((STEPS[1] - STEPS[0]) * BATCH * len(domains))


def _drafted(context: Context, domains: Sequence[Domain], clock: Clock) -> float:
    """Seconds of a draft with its checks, where items come from templates; others are not asked in advance."""
    from llm_experts.generation.checks.registry import checks_named
    from llm_experts.generation.context import CheckOptions
    from llm_experts.generation.context import Context as Checking
    from llm_experts.generation.produce import produce
    from llm_experts.generation.providers.registry import provider_named
    from llm_experts.generation.spec import DataSpec, Topic

    settings, spent = context.settings, []
    topics = tuple(Topic(name=one.name, family=one.family, difficulty=one.difficulty) for one in domains)
    protected = {"scenarios": [item for one in domains for item in one.items("scenarios", CHECKED, 0)]}
    for count in DRAFTED:
        checking = Checking(
            context.base, protected=protected, seed=settings.seed, options=CheckOptions(difficulty=settings.difficulty)
        )
        start = clock()
        with tempfile.TemporaryDirectory() as folder:
            produce(
                DataSpec(expert="rates", topics=topics, count=count * len(topics)), provider_named("template", {}),
                checking, checks=checks_named(settings.checks), folder=Path(folder), seed=settings.seed,
            )  # fmt: skip
        spent.append(clock() - start)
    return max(0.0, spent[1] - spent[0]) / ((DRAFTED[1] - DRAFTED[0]) * len(topics))
