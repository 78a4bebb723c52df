"""Step 5: weights of the experts, searched on items that none of them was trained on or watched with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.discovering.advising import advisor_of
from benchmarks.discovering.context import Context
from benchmarks.discovering.step import Result, Step
from benchmarks.discovering.steps.training import trained_experts


def _do(context: Context) -> Result:
    from llm_experts.discovery.mixtures.limits import Limits
    from llm_experts.discovery.mixtures.mixing import MixingSettings, search_mixture

    settings = context.settings
    found = search_mixture(
        context.base, trained_experts(context), context.domains,
        MixingSettings(
            items=settings.search_items, generations=settings.generations, population=settings.population,
            guidance=settings.guidance, rounds=settings.rounds, candidates=settings.candidates, seed=settings.seed,
            limits=Limits(alignment_margin=settings.alignment_margin),
        ),
        folder=context.folder, advisor=advisor_of(context), progress=context.told,
    )  # fmt: skip
    return found.as_dict()


def _words(result: Mapping[str, Any]) -> str:
    rows = result["candidates"]
    return f"{len(rows)} mixtures measured truly, {sum(bool(row['on_front']) for row in rows)} on the front"


STEP = Step(
    name="5_search", label="search", settings=(
        "search_items", "generations", "population", "rounds", "candidates", "guidance", "advise",
        "alignment_margin",
    ),
    do=_do, words=_words,
)  # fmt: skip
