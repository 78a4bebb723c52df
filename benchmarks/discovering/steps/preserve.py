"""Step 7: what must stay as it was with the base: non-inferiority within margins that are stated beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.discovering.beforehand import NOTHING
from benchmarks.discovering.context import Context
from benchmarks.discovering.step import Result, Step
from benchmarks.discovering.steps.training import trained_experts
from benchmarks.discovering.winner import weights_of


def _do(context: Context) -> Result:
    import torch

    from llm_experts.discovery.preserving.preserve import check_preserved
    from llm_experts.mixtures.item_mixtures import mixed

    settings, base = context.settings, context.base
    experts = [expert.adapter for expert in trained_experts(context)]
    size = sum(weight.numel() * weight.element_size() for weight in base.model.parameters())
    memory = {"memory_mb": round((size + sum(adapter.bytes for adapter in experts)) / 1e6, 3)}
    if settings.preserve == NOTHING:
        return {"tasks": [], **memory}
    weights = torch.tensor(weights_of(context.results), dtype=torch.float64)
    if not weights.any():
        return {"tasks": [], "skipped": "the winner is the base itself, which stays as it was", **memory}
    winner = mixed(experts, weights)
    found = check_preserved(
        base, winner, settings.preserve or None, items=settings.preserve_items, margin=settings.preserve_margin,
        seed=settings.seed, progress=context.told,
    )  # fmt: skip
    lost = sum(one.preserved is False for one in found)
    context.notes.extend(f"{one.name} is not measured: {one.reason}" for one in found if one.reason)
    return {"tasks": [one.as_dict() for one in found], "lost": lost, **memory}


def _words(result: Mapping[str, Any]) -> str:
    rows = result["tasks"]
    if not rows:
        return "nothing was asked to be preserved"
    kept, lost, idle = ([row["name"] for row in rows if row["preserved"] is way] for way in (True, False, None))
    unknown = [row["name"] for row in rows if row.get("reason")]
    idle = [name for name in idle if name not in unknown]
    told = (("not", lost), ("nothing to lose in", idle), ("not measured:", unknown))
    more = [f"{words} {', '.join(names)}" for words, names in told if names]
    return "; ".join([f"{len(kept)} of {len(rows)} tasks preserved", *more])


STEP = Step(
    name="7_preserve", label="preserve", settings=("preserve", "preserve_items", "preserve_margin"), do=_do,
    words=_words,
)  # fmt: skip
