"""Step 5: weights of the experts, searched on items that none of them was trained on or watched with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.discovering.context import Context
from benchmarks.discovering.step import Result, Step
from benchmarks.discovering.steps.training import trained_experts


def _do(context: Context) -> Result:
    from llm_experts.discovery.mixing import MixingSettings, search_mixture

    settings = context.settings
    found = search_mixture(
        context.base, trained_experts(context), context.domains,
        MixingSettings(
            items=settings.search_items, generations=settings.generations, population=settings.population,
            guidance=settings.guidance, seed=settings.seed,
        ),
        folder=context.folder, advisor=_advisor(context), progress=context.told,
    )  # fmt: skip
    return found.as_dict()


def _advisor(context: Context) -> Callable[[str], str] | None:
    """A language model that is asked about the front; what it says is logged, and followed only within bounds."""
    if context.settings.advise is None:
        return None
    from benchmarks.run.stages.text import device_of
    from llm_experts.bases.load import load_base
    from llm_experts.search.advisor import LanguageAdvisor

    return LanguageAdvisor(load_base(context.settings.advise, device=device_of(context.settings.device)))


def _words(result: Mapping[str, Any]) -> str:
    rows = result["candidates"]
    return f"{len(rows)} mixtures measured truly, {sum(bool(row['on_front']) for row in rows)} on the front"


STEP = Step(
    name="5_search", label="search", settings=("search_items", "generations", "population", "guidance", "advise"),
    do=_do, words=_words,
)  # fmt: skip
