"""``fairmoe llm search``: search for a mixture of SVF experts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.commands.llm.loading import base_named, experts_of, load, seen_rows
from benchmarks.commands.llm.options import (
    AnyExpert,
    BaseName,
    Device,
    Dtype,
    Quantisation,
    Revision,
    Seen,
    TaskName,
)
from benchmarks.commands.llm.showing import print_facts, steps_shown
from benchmarks.commands.options import Seed, Split
from foundation.console import plain_console


def search(
    experts: Annotated[list[str], typer.Argument(help=f"SVF experts of the same base, each {AnyExpert}.")],
    task: TaskName,
    base: BaseName = "nano",
    revision: Revision = None,
    dtype: Dtype = "auto",
    quantisation: Quantisation = "none",
    device: Device = "auto",
    minimise: Annotated[
        list[str] | None, typer.Option(help="Objectives beside utility@1 (up to three); default: dp@1.")
    ] = None,
    constraint: Annotated[list[str] | None, typer.Option(help="Such as 'dp@1<=0.05' (repeatable).")] = None,
    generations: Annotated[int, typer.Option(min=3, help="Generations on the surrogate, all rounds together.")] = 100,
    population: Annotated[int, typer.Option(min=4, help="Mixtures of a generation.")] = 50,
    floor: Annotated[float | None, typer.Option(help="Smallest share of the base in a mixture.")] = None,
    epsilon: Annotated[
        float, typer.Option(min=0, help="Utility that a mixture may cost on held-out rows, against the best expert.")
    ] = 0.02,
    split: Split = 0,
    seed: Seed = 0,
    allow_seen: Seen = False,
    output: Annotated[Path, typer.Option(help="Output folder; true evaluations found in it are kept.")] = Path(
        "results/llm/search"
    ),
) -> None:
    """Search for a mixture of SVF experts on one half of the validation rows; the other half accepts or rejects it.

    Experts are what 'fairmoe llm train --kind svf' wrote, one per role. Experts that were trained on some of these rows
    (of another split or seed) are refused unless you ask for it with --allow-seen.

    Example: `fairmoe llm search results/llm/german_split0_seed0/*svf*_best --task german --constraint "dp@1<=0.05"`
    """
    from benchmarks.models.text_experts import text_expert_folders
    from benchmarks.run.stages.text_mixtures import halves
    from foundation.folder_lock import folder_lock
    from llm_experts.mixtures.svf_mixtures import SVFMixtures
    from llm_experts.search import Constraint, Objective, SearchRows, SearchSettings, search_mixtures
    from tasks.load import load_task

    console = plain_console()
    settings = SearchSettings(
        objectives=tuple(Objective(name) for name in ("utility@1", *(minimise or ["dp@1"]))),
        constraints=tuple(Constraint(*_constraint(text)) for text in constraint or ()),
        generations=generations, population=population, base_floor=floor, epsilon=epsilon, seed=seed,
    )  # fmt: skip
    base = base_named(base, revision)
    loaded = load(base, dtype, quantisation, device, console)
    with text_expert_folders(experts) as folders:
        found = tuple(experts_of(folders, loaded))
    view = load_task(task, split=split, seed=seed).view()
    for name, expert in zip(experts, found, strict=True):
        note = seen_rows(name, expert, view, view.split.validation, "validation", allow=allow_seen, trained_only=True)
        if note:
            console.print(f"note: {note}", soft_wrap=True, markup=False)
    parts = [SVFMixtures(found, view, rows) for rows in halves(view, seed)]
    rows = [SearchRows(view.labels[p.rows], view.groups[p.rows], view.group_names) for p in parts]
    with folder_lock(output, f"fairmoe llm search --task {task}"), steps_shown("search", console) as progress:
        result = search_mixtures(
            parts[0], rows[0], settings, held_out=(parts[1], rows[1]), folder=output,
            progress=lambda done, total, _: progress(done, total),
        )  # fmt: skip
        result.save(output)
    print_facts("winner", {**result.winner.alphas, **result.winner.search}, console)
    console.print(result.winner.statement)
    console.print(f"written: {output / 'search.json'}", soft_wrap=True)


def _constraint(text: str) -> tuple[str, Any, float]:
    for relation in ("<=", ">="):
        metric, found, bound = text.partition(relation)
        if found:
            try:
                return metric.strip(), relation, float(bound)
            except ValueError:
                break
    raise typer.BadParameter(f"{text!r} is no constraint; write it as dp@1<=0.05 or utility@1>=0.7.")
