"""What rounding costs: the base with the winner in its weights, and these as codes again."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.discovering.run import Discovered
from benchmarks.discovering.winner import weights_of
from foundation.files import write_json
from foundation.hashing import hash_json

FOLDER, RESULT, CODES = "rounded", "result.json", "codes"


def rounding_of(found: Discovered) -> dict[str, Any] | None:
    """Base, base with the winner, and the same rounded, on scenarios that follow those of the examination.

    Kept in the discovery's folder, with the codes where they are ternary (others are made on loading); None where no
    rounding is asked for.

    Raises
    ------
    AdapterError
        If the kind of adapter does not change weights.
    """
    to, folder = found.settings.requantize, found.folder / FOLDER
    if to == "none":
        return None
    inputs = hash_json([to, found.results["7_preserve"]["inputs_hash"]])
    path = folder / RESULT
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if told.get("inputs_hash") != inputs:
        told = {**_measured(found, to), "inputs_hash": inputs}
        write_json(path, told)
    return {name: value for name, value in told.items() if name != "inputs_hash"}


def _measured(found: Discovered, to: str) -> dict[str, Any]:
    import torch

    from benchmarks.discovering.handing.library import experts_of
    from llm_experts.bases.ternary.files import write_ternary
    from llm_experts.discovery.measuring.domain import Scenario
    from llm_experts.discovery.requantising.requantised import requantised
    from llm_experts.families.listed import listed_answers
    from llm_experts.mixtures.item_mixtures import mixed

    settings = found.settings
    adapters = [adapter for adapter, _ in experts_of(found.folder, found.results).values()]
    winner = mixed(adapters, torch.tensor(weights_of(found.results), dtype=torch.float64))
    count = settings.scenarios
    asked = [
        Scenario(domain.name, example, listed_answers(domain.judge, example, seed=settings.seed))
        for domain in found.domains
        for example in domain.items("scenarios", 2 * count, settings.seed)[count:]
    ]
    rounded, told = requantised(found.on_demand.loaded, winner, to, asked, seed=settings.seed)
    if to == "ternary":
        write_ternary(rounded, found.folder / FOLDER / CODES)
    return told.as_dict()
