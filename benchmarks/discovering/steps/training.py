"""Step 4: all experts trained together, and looked at every epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.discovering.context import Context
from benchmarks.discovering.error import BudgetEndedError
from benchmarks.discovering.sizing.sizes import steps_of
from benchmarks.discovering.step import Result, Step
from benchmarks.discovering.steps.data import ITEMS
from foundation.hashing import hash_file

if TYPE_CHECKING:
    from llm_experts.data.example import Example
    from llm_experts.discovery.measuring.domain import Scenario
    from llm_experts.discovery.teaching.training import ExpertSet, TrainedExpert, TrainingSettings

ADAPTER, WEIGHTS = "adapter", "adapter_model.safetensors"


def _do(context: Context) -> Result:
    from llm_experts.discovery.measuring.domain import scenarios
    from llm_experts.discovery.planning.plan import ExpertPlan
    from llm_experts.discovery.teaching.training import train_experts
    from llm_experts.training.loop.group import TrainingStopped

    plan = ExpertPlan.from_dict(context.results["2_plan"])
    everywhere = scenarios(context.domains, "watching", context.settings.watching, context.settings.seed)
    sets = {expert.name: _set(context, expert.name, expert.domains, everywhere) for expert in plan.experts}
    try:
        trained = train_experts(
            context.base, plan.experts, sets, settings_of(context), folder=context.folder,
            progress=lambda now: context.progress(now.step, now.steps), stop=context.deadline.over,
        )  # fmt: skip
    except TrainingStopped:
        context.deadline.check()
        raise BudgetEndedError("The training was stopped.") from None
    return {"experts": [_row(one, context.folder) for one in trained]}


def _row(expert: TrainedExpert, folder: Path) -> dict[str, Any]:
    """An expert with the hash of its weights, so that later steps depend on these very ones."""
    told = expert.as_dict()
    place = folder / told["folder"] / ADAPTER
    return {**told, "adapter": place.relative_to(folder).as_posix(), "sha256": hash_file(place / WEIGHTS)}


def trained_experts(context: Context) -> list[TrainedExpert]:
    """The experts, read from this step's folder and checked."""
    from llm_experts.discovery.teaching.training import TrainedExpert

    root = context.root / STEP.name
    rows = context.results[STEP.name]["experts"]
    return [TrainedExpert.from_dict({k: row[k] for k in row if k not in ("adapter", "sha256")}, root) for row in rows]


def _set(context: Context, name: str, domains: Sequence[str], everywhere: list[Scenario]) -> ExpertSet:
    """What an expert learns from, and what it is looked at with."""
    from llm_experts.data.reading import read_examples
    from llm_experts.discovery.teaching.training import expert_set

    asked = [context.domain(one) for one in domains]
    made = next(row for row in context.results["3_data"]["experts"] if row["name"] == name)
    items = read_examples(context.root / "3_data" / name / ITEMS, need="completion")
    return expert_set(asked, by_topic(items, made["topics"]), everywhere, everywhere, context.settings.seed)


def by_topic(items: Sequence[Example], topics: Sequence[Mapping[str, Any]]) -> dict[str, list[Example]]:
    """Items of a set that holds topic after topic, by the topic's name."""
    found, start = {}, 0
    for topic in topics:
        end = start + topic["accepted"] + topic["filled"]
        found[topic["name"]], start = list(items[start:end]), end
    return found


def settings_of(context: Context) -> TrainingSettings:
    """How experts are trained."""
    from llm_experts.discovery.teaching.training import TrainingSettings

    settings = context.settings
    return TrainingSettings(
        kind=settings.kind, rank=settings.rank, start=context.start, steps=steps_of(settings),
        probes=settings.probes, lr=settings.lr, most_drift=settings.most_drift, seed=settings.seed,
    )  # fmt: skip


def _words(result: Mapping[str, Any]) -> str:
    rows = result["experts"]
    told = ", ".join(f"{row['name']} {row['accuracy']:.2f}" for row in rows)
    return f"{sum(row['reached'] for row in rows)} of {len(rows)} experts reach their target: {told}"


STEP = Step(
    name="4_training", label="training", do=_do, words=_words,
    settings=("kind", "rank", "start", "steps", "count", "watching", "probes", "lr", "most_drift"),
)  # fmt: skip
