"""Step 1: what the base can do in each domain, and what it says that it can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.discovering.context import Context
from benchmarks.discovering.error import DiscoverError
from benchmarks.discovering.step import Result, Step


def _do(context: Context) -> Result:
    from llm_experts.discovery.measuring.capability import measure_capability

    settings = context.settings
    _check_start(context)
    report = measure_capability(
        context.base,
        context.domains,
        items=settings.items,
        how=settings.how,
        seed=settings.seed,
        progress=context.told,
    )
    return {**report.as_dict(), **_agreement(context)}


def _check_start(context: Context) -> None:
    """Refuse a first layer that the base does not have, which only the plan would read, after all was measured."""
    start, layers = context.start, int(context.base.n_layers)
    if not -layers <= start < layers:
        raise DiscoverError(
            f"Adapters are to begin at layer {start}, and {context.base.id} has {layers}: --start goes from 0 to "
            f"{layers - 1}, or from -{layers} to -1, counted from the end."
        )


def _agreement(context: Context) -> dict[str, Any]:
    """How far a base of codes and the matrices that they stand for predict the same words; nothing of other bases."""
    from llm_experts.bases.agreement import agreement
    from llm_experts.bases.dequantised import dequantised
    from llm_experts.bases.quantised import holds_codes

    loaded = context.on_demand.loaded
    if not holds_codes(loaded.model):
        return {}
    found = agreement(loaded, dequantised(loaded), seed=context.settings.seed)
    return {"dequantised": {"agreement": found.top1, **found.as_dict()}}


def _words(result: Mapping[str, Any]) -> str:
    rows = result["domains"]
    weakest, best = min(rows, key=lambda row: row["share"]), max(rows, key=lambda row: row["share"])
    return (
        f"{len(rows)} domains: from {weakest['name']} {weakest['share']:.2f} [{weakest['low']:.2f}, "
        f"{weakest['high']:.2f}] to {best['name']} {best['share']:.2f} [{best['low']:.2f}, {best['high']:.2f}]"
    )


STEP = Step(
    name="1_capability", label="capability", settings=("domains", "items", "how"), do=_do, words=_words,
)  # fmt: skip
