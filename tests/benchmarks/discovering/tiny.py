"""A discovery of tiny sizes on a tiny random base, as a module that another process can run."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.discovering.handing.package import Named, hand_on
from benchmarks.discovering.run import Asked, Discovered, Silent, discover
from benchmarks.discovering.settings import DiscoverySettings
from benchmarks.discovering.state import without_times
from benchmarks.discovering.step import Step
from benchmarks.discovering.steps.registry import STEPS
from foundation.hashing import hash_file
from tests.llm_experts.conftest import make_tiny_base

SIZES: dict[str, Any] = {
    "domains": ("arithmetic", "dates", "json_task", "strings"), "experts": 3, "items": 24, "count": 12, "steps": 4,
    "watching": 6, "checks": ("clarity", "contamination"), "generations": 6, "population": 8, "search_items": 6,
    "scenarios": 25,
    "preserve": ("none",), "rank": 2,
}  # fmt: skip

PACKAGE = "tiny-mixture-1.0.0.expert"


def asked(folder: Path, *, minutes: float | None = None, **changed: Any) -> Asked:
    """The discovery, with some settings changed."""
    base = make_tiny_base()
    return Asked(
        settings=DiscoverySettings(**{**SIZES, **changed}), folder=folder, minutes=minutes, load=lambda: base,
        identity={"id": base.id, "hash": base.hash},
    )  # fmt: skip


def whole(folder: Path, **changed: Any) -> Discovered:
    """All steps and the package."""
    found = discover(asked(folder, **changed))
    hand_on(found, Named("tiny-mixture", "Ada"))
    return found


class Noting(Silent):
    """Notes which steps were done, and which were there."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self, step: Step, result: Mapping[str, Any], was_there: bool) -> None:
        if not was_there:
            self.done.append(step.name)


def made(folder: Path) -> dict[str, Any]:
    """All that must be the same of two runs."""
    results = {step.name: json.loads((folder / step.name / "result.json").read_text()) for step in STEPS}
    return {"results": without_times(results), "package": hash_file(folder / PACKAGE)}


if __name__ == "__main__":
    whole(Path(sys.argv[1]))
