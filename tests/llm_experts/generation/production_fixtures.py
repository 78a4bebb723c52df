"""Checks and specs that productions are tested with: real ones, whose probability of a right answer is planted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from llm_experts.generation.checks.check import Check, Finding
from llm_experts.generation.context import Context
from llm_experts.generation.draft import Draft
from llm_experts.generation.produce import Produced, produce
from llm_experts.generation.providers.registry import provider_named
from llm_experts.generation.spec import DataSpec, Topic

FILES = ("train.jsonl", "pairs.jsonl", "rejected.jsonl", "sample.md", "report.json", "journal.jsonl")


def planted(chance: Callable[[Draft], float]) -> Check:
    """A check of difficulty by a known probability of a right answer."""

    def of(drafts: Sequence[Draft], spec: DataSpec, context: Any) -> list[Finding]:
        low, high = spec.success
        values = [chance(draft) for draft in drafts]
        return [Finding(low <= value <= high, value, "" if low <= value <= high else "p") for value in values]

    return Check(name="difficulty", label="Difficulty", about="planted", needs_model=False, of=of)


def spec_of(count: int, *families: str, difficulty: float | None = 0.0, **more: Any) -> DataSpec:
    """A spec with a topic for each family."""
    topics = tuple(Topic(name=family, family=family, difficulty=difficulty) for family in families)
    return DataSpec(expert="expert", topics=topics, count=count, **more)


def made(spec: DataSpec, folder: Path, *checks: Check, seed: int = 0, **more: Any) -> Produced:
    """A set by the families' own generators."""
    return produce(spec, provider_named("template"), Context(), checks=checks, folder=folder, seed=seed, **more)


def contents(folder: Path) -> dict[str, bytes]:
    """What every file holds."""
    return {name: (folder / name).read_bytes() for name in FILES}
