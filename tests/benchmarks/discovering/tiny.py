"""A discovery of tiny sizes on a tiny random base, as a module that another process can run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from benchmarks.discovering.handing.package import Named, hand_on
from benchmarks.discovering.run import Asked, Discovered, discover
from benchmarks.discovering.settings import DiscoverySettings
from tests.llm_experts.conftest import make_tiny_base

SIZES: dict[str, Any] = {
    "domains": ("arithmetic", "dates", "json_task", "strings"), "experts": 3, "items": 24, "count": 12, "steps": 4,
    "watching": 6, "checks": ("clarity", "contamination"), "generations": 6, "population": 8, "search_items": 6,
    "scenarios": 25,
    "preserve": ("none",), "rank": 2,
}  # fmt: skip


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


if __name__ == "__main__":
    whole(Path(sys.argv[1]))
