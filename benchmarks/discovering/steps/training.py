"""Step 4: all experts trained together, and looked at every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.discovering.context import Context
from benchmarks.discovering.error import BudgetEndedError
from benchmarks.discovering.sizes import steps_of
from benchmarks.discovering.step import Result, Step
from foundation.hashing import hash_file

if TYPE_CHECKING:
    from llm_experts.discovery.training import ExpertSet, TrainingSettings

WEIGHTS = "adapter_model.safetensors"


def _do(context: Context) -> Result:
    from llm_experts.discovery.plan import ExpertPlan
    from llm_experts.discovery.training import train_experts
    from llm_experts.training.loop.group import TrainingStopped

    plan = ExpertPlan.from_dict(context.results["2_plan"])
    sets = {expert.name: _set(context, expert.name, expert.domains) for expert in plan.experts}
    try:
        trained = train_experts(
            context.base, plan.experts, sets, settings_of(context), folder=context.folder,
            progress=context.progress, stop=context.deadline.over,
        )  # fmt: skip
    except TrainingStopped:
        context.deadline.check()
        raise BudgetEndedError("The training was stopped.") from None
    return {"experts": [_row(one, context.folder) for one in trained]}


def _row(expert: Any, folder: Path) -> dict[str, Any]:
    """An expert with the place of its adapter in the step's folder, and the hash of its weights."""
    place = expert.folder / "adapter"
    told: dict[str, Any] = expert.as_dict()
    return {
        **{key: value for key, value in told.items() if key not in ("folder", "seconds")},
        "adapter": place.relative_to(folder).as_posix(), "sha256": hash_file(place / WEIGHTS),
    }  # fmt: skip


def _set(context: Context, name: str, domains: tuple[str, ...]) -> ExpertSet:
    """What an expert learns from, and what it is looked at with."""
    from llm_experts.data.reading import read_examples
    from llm_experts.discovery.domain import scenarios
    from llm_experts.discovery.training import ExpertSet

    settings, asked = context.settings, [context.domain(one) for one in domains]
    watching = scenarios(asked, "watching", settings.watching, settings.seed)
    everywhere = scenarios(context.domains, "watching", settings.watching, settings.seed)
    return ExpertSet(
        train=list(read_examples(context.root / "3_data" / name / "train.jsonl")), watching=watching,
        alignment=everywhere,
    )  # fmt: skip


def settings_of(context: Context) -> TrainingSettings:
    """How experts are trained."""
    from llm_experts.discovery.training import TrainingSettings

    settings = context.settings
    return TrainingSettings(
        kind=settings.kind, rank=settings.rank, start=settings.start, steps=steps_of(settings), seed=settings.seed
    )


def _words(result: Mapping[str, Any]) -> str:
    rows = result["experts"]
    there = sum(row["reached"] is not None and row["reached"] >= row["target"] for row in rows)
    told = ", ".join(f"{row['name']} {row['reached']:.2f}" for row in rows if row["reached"] is not None)
    return f"{there} of {len(rows)} experts reach their target: {told}"


STEP = Step(
    name="4_training", label="training", settings=("kind", "rank", "start", "steps", "count", "watching"),
    do=_do, words=_words,
)  # fmt: skip
