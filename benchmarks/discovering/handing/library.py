"""The experts of a discovery, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_experts.decoder.program import Adapter


def experts_of(folder: Path, results: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[Adapter, Path]]:
    """The trained experts by name, read and checked, and where their adapters lie."""
    from llm_experts.adapters.store import read_adapter
    from llm_experts.decoder.program import Adapter

    found = {}
    for expert in results["4_training"]["experts"]:
        place = folder / "4_training" / expert["adapter"]
        saved = read_adapter(place)
        found[expert["name"]] = Adapter(saved.config, saved.state), place
    return found
