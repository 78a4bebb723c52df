"""Step 6: the final examination, on scenarios that no step before has seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.discovering.context import Context
from benchmarks.discovering.step import Result, Step
from benchmarks.discovering.steps.training import trained_experts

BASE = "base"
"""Label of the base among the contenders."""


def _do(context: Context) -> Result:
    from llm_experts.discovery.mixtures.examination import examine_mixtures
    from llm_experts.discovery.mixtures.mixing import MixtureSearch

    found = examine_mixtures(
        context.base, trained_experts(context), context.domains,
        MixtureSearch.from_dict(context.results["5_search"]), scenarios=context.settings.scenarios,
        owners={one["name"]: one["domains"] for one in context.results["2_plan"]["experts"]},
        seed=context.settings.seed, progress=context.told,
    )  # fmt: skip
    return {**found.as_dict(), "overall_gain": overall_gain(found.as_dict())}


def overall_gain(examined: Mapping[str, Any]) -> dict[str, Any]:
    """Share of right answers of the winner less that of the base, paired; 0 where the base is what is left."""
    for row in examined["paired"]:
        if row["rival"] == BASE:
            return {"estimate": row["difference"], "low": row["low"], "high": row["high"], "p": row["p"]}
    return {"estimate": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


def _words(result: Mapping[str, Any]) -> str:
    word = "accepts" if result["accepted"] else "accepts no mixture; left is"
    return f"{result['scenarios']} scenarios: the examination {word} {result['winner']}"


STEP = Step(name="6_examination", label="examination", settings=("scenarios",), do=_do, words=_words)
