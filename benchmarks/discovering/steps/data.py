"""Step 3: the items that each expert learns from, made by its spec and checked."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from benchmarks.discovering.context import Context
from benchmarks.discovering.error import DiscoverError
from benchmarks.discovering.step import Result, Step
from foundation.hashing import hash_file

if TYPE_CHECKING:
    from llm_experts.data.example import Example
    from llm_experts.generation.checks.check import Check
    from llm_experts.generation.draft import Provider
    from llm_experts.generation.spec import DataSpec

ITEMS = "train.jsonl"


def _do(context: Context) -> Result:
    from llm_experts.generation.checks.registry import checks_named

    planned = context.results["2_plan"]["experts"]
    checks, provider = checks_named(context.settings.checks), _provider(context)
    protected = _protected(context)
    rows = []
    for number, expert in enumerate(planned):
        context.told(number * context.settings.count, len(planned) * context.settings.count)
        rows.append(_of_expert(context, expert, number, provider, checks, protected))
    few = [row["name"] for row in rows if not row["enough"]]
    if few:
        context.notes.append(
            f"Fewer drafts were accepted than asked for, for {len(few)} of {len(rows)} experts; "
            f"{sum(row['variants'] for row in rows):,} variants were drafted, and "
            f"{sum(row['filled'] for row in rows):,} items fill up that are too easy or too hard. "
            f"{context.folder}/NAME/report.json says more."
        )
    return {"experts": rows}


def _of_expert(
    context: Context, expert: Mapping[str, Any], number: int, provider: Provider, checks: Sequence[Check],
    protected: Mapping[str, Sequence[Example]],
) -> dict[str, Any]:  # fmt: skip
    from llm_experts.generation.budget import Budget
    from llm_experts.generation.context import CheckOptions
    from llm_experts.generation.context import Context as Checking
    from llm_experts.generation.produce import produce

    settings, start = context.settings, time.perf_counter()
    experts = len(context.results["2_plan"]["experts"])
    folder = context.folder / expert["name"]
    needs_model = any(check.needs_model for check in checks)
    checking = Checking(
        context.base if needs_model else None, protected=protected, seed=settings.seed,
        options=CheckOptions(difficulty=settings.difficulty),
    )  # fmt: skip
    dollars = None if settings.dollars is None else settings.dollars / experts
    made = produce(
        spec_of(context, expert), provider, checking, checks=checks, folder=folder, seed=settings.seed,
        budget=Budget(dollars=dollars), fill="nearest", stop=context.deadline.over,
        progress=lambda done, total: context.progress(number * total + done, experts * total),
    )  # fmt: skip
    context.deadline.check()
    if not made.accepted:
        why = "; ".join(made.report.said) or "no draft was accepted"
        raise DiscoverError(
            f"There are no items for the expert {expert['name']} ({', '.join(expert['domains'])}): {why}. "
            f"{folder / 'rejected.jsonl'} says why drafts were refused; choose other domains, checks or another "
            "provider."
        )
    seconds = time.perf_counter() - start
    return {
        **made.report.as_dict(), "name": expert["name"], "sha256": hash_file(folder / ITEMS),
        "seconds": round(seconds, 3), "items_a_minute": round(60 * made.report.accepted / seconds, 1),
    }  # fmt: skip


def spec_of(context: Context, expert: Mapping[str, Any]) -> DataSpec:
    """The spec of an expert's data: its domains as topics, each with the family that judges its answers."""
    from llm_experts.generation.spec import DataSpec, Topic

    domains = [context.domain(name) for name in expert["domains"]]
    topics = tuple(Topic(name=one.name, family=one.family, difficulty=one.difficulty) for one in domains)
    return DataSpec(expert=expert["name"], topics=topics, count=context.settings.count)


def _provider(context: Context) -> Provider:
    from llm_experts.generation.providers.registry import provider_named

    return provider_named(context.settings.provider, context.settings.provider_options)


def _protected(context: Context) -> dict[str, list[Example]]:
    """Items that something is measured on, by what: none of them may be learnt."""
    from llm_experts.discovery.measuring.domain import Use

    counts: dict[str, int] = {
        "capability": context.settings.items, "watching": context.settings.watching,
        "search": context.settings.search_items, "scenarios": context.settings.scenarios,
    }  # fmt: skip
    uses: dict[str, Use] = {use: use for use in get_args(Use) if use in counts}
    return {
        name: [item for domain in context.domains for item in domain.items(use, counts[name], context.settings.seed)]
        for name, use in uses.items()
    }


def _words(result: Mapping[str, Any]) -> str:
    rows = result["experts"]
    drafts, accepted = sum(row["drafts"] for row in rows), sum(row["accepted"] for row in rows)
    dollars = sum(row["dollars"] for row in rows)
    cost = f", {dollars:.2f} dollars" if dollars else ""
    return f"{accepted:,} of {drafts:,} drafts accepted for {len(rows)} experts{cost}"


STEP = Step(
    name="3_data", label="data", do=_do, words=_words,
    settings=(
        "provider", "provider_options", "checks", "difficulty", "count", "dollars", "items", "watching", "search_items",
        "scenarios",
    ),
)  # fmt: skip
