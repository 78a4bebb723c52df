"""How fast a base reads, learns and has items made here: little of each is done, and the difference of two counts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.discovering.context import Context
from benchmarks.discovering.sizing.sizes import Rates

READ = (2, 8)
"""Items of each domain that are read: few and more of them."""
STEPS = (1, 3)
"""Optimiser steps."""
DRAFTED = (1, 5)
"""Drafts of each domain."""
CHECKED = 8
"""Items that each of the protected sets has while drafts are timed."""
LANES = 4
"""Adapters that read together."""
Clock = Callable[[], float]


def rates_of(context: Context) -> Rates:
    """Rates of this machine; nothing that is measured here is used otherwise."""
    clock, domains = context.deadline.clock, len(context.domains)
    _measured(context, clock, READ[0])  # what is loaded at first use is no rate
    few, more = (_measured(context, clock, count) for count in READ)
    item = max(0.0, more - few) / ((READ[1] - READ[0]) * domains)
    fixed = max(0.0, few / domains - item * READ[0])
    return Rates(item, fixed, _read(context, clock), _trained(context, clock), _drafted(context, clock))


def _measured(context: Context, clock: Clock, count: int) -> float:
    from llm_experts.discovery.measuring.capability import measure_capability

    start, settings = clock(), context.settings
    measure_capability(context.base, context.domains, items=count, how=settings.how, seed=settings.seed)
    return clock() - start


def _read(context: Context, clock: Clock) -> float:
    """Seconds in which one of several adapters reads an item."""
    from llm_experts.discovery.measuring.domain import scenarios
    from llm_experts.training.sequences.choices import choices_of
    from llm_experts.training.sequences.lanes import SequenceLanes

    base, settings = context.base, context.settings
    asked = scenarios(context.domains, "capability", READ[1], settings.seed)
    choices = choices_of(base, asked)
    lanes = SequenceLanes.fresh(base, settings.kind, [settings.rank] * LANES, [0] * LANES, start=context.start)
    start = clock()
    choices.logprobs(lanes, lanes.start)
    return (clock() - start) / (LANES * len(asked))


def _trained(context: Context, clock: Clock) -> float:
    """Seconds of an item in an optimiser step of one expert."""
    from llm_experts.discovery.planning.probe import BATCH, probe_domains

    settings, spent = context.settings, []
    for steps in (STEPS[0], *STEPS):
        start = clock()
        probe_domains(
            context.base, context.domains, steps=steps, items=2, seed=settings.seed, kind=settings.kind,
            rank=settings.rank, start=context.start,
        )  # fmt: skip
        spent.append(clock() - start)
    return max(0.0, spent[2] - spent[1]) / ((STEPS[1] - STEPS[0]) * BATCH * len(context.domains))


def _drafted(context: Context, clock: Clock) -> float:
    """Seconds of a draft with its checks, where items come from templates; others are not asked in advance."""
    from llm_experts.generation.checks.registry import checks_named
    from llm_experts.generation.context import CheckOptions
    from llm_experts.generation.context import Context as Checking
    from llm_experts.generation.produce import produce
    from llm_experts.generation.providers.registry import provider_named
    from llm_experts.generation.spec import DataSpec, Topic

    settings, spent = context.settings, []
    topics = tuple(Topic(name=one.name, family=one.family, difficulty=one.difficulty) for one in context.domains)
    protected = {"scenarios": [item for one in context.domains for item in one.items("scenarios", CHECKED, 0)]}
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
