"""Small items, lanes and runs for tests of training methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from llm_experts.bases.base import Base
from llm_experts.data.example import Example
from llm_experts.training.loop.assignment import Assignment
from llm_experts.training.loop.method import Method, Run, method_named
from llm_experts.training.loop.order import items_of, micro_batches
from llm_experts.training.loop.settings import Settings
from llm_experts.training.sequences.lanes import SequenceLanes

LABELS = ("yes", "no")
FACTS = {"labels": list(LABELS)}
EXAMPLES = [
    Example("a", "The applicant's age is 23 years. Answer:", "yes", "no", FACTS),
    Example("b", "Question: Is the sex female?", "no or yes", "yes", FACTS),
    Example("c", "The savings are unknown. Answer:", "no", "unknown", FACTS),
    Example("d", "Options: yes or no.", "yes", "no or no", FACTS),
]


def likes_yes(_example: Example, answer: str) -> float:
    """1 for an answer with a yes in it."""
    return float("yes" in answer)


def settings_of(method: str, options: Mapping[str, Any] | None = None, **other: Any) -> Settings:
    return Settings(
        method=method, options=dict(options or {}), **({"rank": 4, "lr": 0.01, "batch_size": 4, "steps": 4} | other)
    )


def run_of(
    base: Base,
    settings: Settings,
    seeds: Sequence[int] = (0, 1),
    after: Path | None = None,
    folder: Path = Path(),
    examples: Sequence[Example] = EXAMPLES,
) -> tuple[Method, Run]:
    """A method that has started for fresh lanes, as the loop would start it."""
    lanes = SequenceLanes.fresh(
        base, settings.kind, [settings.rank] * len(seeds), list(seeds), settings.start, settings.adapter_options
    )
    given = [
        Assignment(f"e{seed}", examples, examples, replace(settings, seed=seed), likes_yes, after=after)
        for seed in seeds
    ]
    run = Run(base, lanes, given, settings, [folder / own.name for own in given])
    method = method_named(settings.method).with_options(settings.options)
    method.start(run)
    return method, run


def batches_of(base: Base, settings: Settings, method: Method, tokens: int | None = None) -> list[Any]:
    """The step of all examples, in one micro-batch or in several."""
    items = items_of(EXAMPLES, base, settings, method.needs)
    return micro_batches([items], base.device, tokens=tokens)
