"""Experts that a tiny random base can train in a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llm_experts.data.example import Example
from llm_experts.discovery.measuring.domain import Scenario
from llm_experts.discovery.teaching.training import ExpertSet, TrainingSettings

ANSWERS = ("yes", "no")
PEOPLE = ("Mary", "Anna", "Emma", "Laura")


@dataclass(frozen=True)
class Plan:
    """Name and target of an expert."""

    name: str
    target: float = 0.9
    domains: tuple[str, ...] = ("made-up",)


def question(at: int, right: str) -> Example:
    """A question about a person, with its listed answers."""
    name = PEOPLE[at % len(PEOPLE)]
    return Example(f"q{at}", f"{name} has {at} pens. Answer:", right, facts={"listed": list(ANSWERS)})


def asked(example: Example) -> Scenario:
    """As a scenario."""
    wrong = [answer for answer in ANSWERS if answer != example.completion]
    return Scenario("made-up", example, (example.completion, *wrong))


def expert_items(right: str = "yes", count: int = 12, watched: int = 8) -> ExpertSet:
    """Items whose answer is always the same; of women, whom an exchange turns into men."""
    seen = [asked(question(100 + at, right)) for at in range(watched)]
    return ExpertSet([question(at, right) for at in range(count)], seen, seen)


def quick(**given: Any) -> TrainingSettings:
    """A few large steps."""
    return TrainingSettings(
        **{
            "rank": 2,
            "lr": 2e-2,
            "epochs": 4,
            "batch_size": 4,
            "max_length": 64,
            "target_drift": 100.0,
            "most_drift": 1e6,
            **given,
        }
    )


def biased_items() -> ExpertSet:
    """Women are answered with yes, men with no: what is learnt follows the name alone, and alignment is lost."""
    men = {"Mary": "James", "Anna": "Peter", "Emma": "Thomas", "Laura": "Paul"}
    women = [question(at, "yes") for at in range(12)]
    others = [
        Example(f"m{at}", one.prompt.replace(name, man), "no", facts=one.facts)
        for at, one in enumerate(women)
        for name, man in men.items()
        if isinstance(one.prompt, str) and name in one.prompt
    ]
    seen = [asked(question(100 + at, "yes")) for at in range(8)]
    return ExpertSet([one for pair in zip(women, others, strict=True) for one in pair], seen, seen)
