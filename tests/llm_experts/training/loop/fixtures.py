"""Small assignments that a tiny random base can learn."""

from __future__ import annotations

from typing import Any

from llm_experts.data.example import Example
from llm_experts.training.loop.assignment import Assignment
from llm_experts.training.loop.settings import Settings

ANSWERS = ("yes", "no")


def examples(count: int, first: int = 0) -> list[Example]:
    """Odd numbers are answered with yes, even ones with no; ``facts`` tell which."""
    return [
        Example(f"n{at}", f"Is {at} odd? Answer:", ANSWERS[at % 2], facts={"answer": ANSWERS[at % 2]})
        for at in range(first, first + count)
    ]


def settings(**given: Any) -> Settings:
    """A few steps of LoRA."""
    return Settings(
        **{"rank": 4, "lr": 1e-2, "epochs": 2, "batch_size": 4, "max_length": 64, "style": "plain", **given}
    )


def assignment(name: str = "odd", count: int = 8, **given: Any) -> Assignment:
    """One expert."""
    return Assignment(name, examples(count), examples(4, 100), settings(**given))
