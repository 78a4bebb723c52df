"""Items made by a spec and checked without a model: how many are accepted a minute.

Run with ``python -m benchmarks.speed item_production``. All generated families in equal shares, every check that asks
no model, files written. One thread, CPU time, sides interleaved. Goal: at least 2,000 accepted items a minute. The
other side makes and checks the same items in batches of one; both sets are compared item by item.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.speed.timing import interleaved
from llm_experts.data.example import Example
from llm_experts.generation.checks.registry import CHECKS
from llm_experts.generation.context import Context
from llm_experts.generation.draft import Draft
from llm_experts.generation.examined import accepted, examine
from llm_experts.generation.produce import produce
from llm_experts.generation.providers.registry import provider_named
from llm_experts.generation.spec import DataSpec, Topic

FAMILIES = ("arithmetic", "classification", "dates", "json_task", "lookup", "sql", "strings")
GOAL = 2_000
OWN = tuple(check for check in CHECKS.values() if not check.needs_model)


def spec_of(count: int) -> DataSpec:
    """Items of all generated families, of mixed difficulty."""
    return DataSpec(expert="speed", topics=tuple(Topic(name=name, family=name) for name in FAMILIES), count=count)


def together(spec: DataSpec) -> list[Example]:
    """The set as productions make it."""
    with tempfile.TemporaryDirectory() as folder:
        made = produce(spec, provider_named("template"), Context(), checks=OWN, folder=Path(folder), seed=0)
    return made.accepted


def one_by_one(spec: DataSpec) -> list[Example]:
    """The same items, each checked for itself; nothing is written."""
    provider, context = provider_named("template"), Context()
    found: list[Example] = []
    for topic in spec.topics:
        share = spec.count // len(spec.topics)
        for draft in provider.drafts(spec, topic, share, 0, 0):
            found += _checked(draft, spec, context)
    return found


def _checked(draft: Draft, spec: DataSpec, context: Context) -> list[Example]:
    [findings] = examine([draft], spec, context, OWN)
    if not accepted(findings):
        return []
    context.accept(draft.example)
    return [draft.example]


def main() -> None:
    """Print accepted items a minute of both sides, their ratio and how many items are the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=350, help="items of a round (default 350)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds per side (default 3)")
    arguments = parser.parse_args()
    spec = spec_of(arguments.items)
    ours, theirs = together(spec), one_by_one(spec)
    found = interleaved(lambda: together(spec), lambda: one_by_one(spec), arguments.rounds, warm_up=False)
    names = {example.id for example in theirs}
    print(
        f"{len(FAMILIES)} families, {', '.join(check.name for check in OWN)}: {len(ours)} accepted, "
        f"{60 * len(ours) / found.median_a:,.0f} a CPU minute (goal {GOAL:,}), files written; one by one, "
        f"without files: {60 * len(theirs) / found.median_b:,.0f}; ratio {found.ratio:.2f}; items that both accept: "
        f"{sum(example.id in names for example in ours)} of {len(ours)}"
    )


if __name__ == "__main__":
    main()
