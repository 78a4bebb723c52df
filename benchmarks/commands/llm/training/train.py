"""``fairmoe llm train``: an adapter of one role on rows, or an expert from a file of items or a family of tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from benchmarks.commands.llm.loading import asking_named, base_named, load
from benchmarks.commands.llm.options import BaseName, Device, Dtype, Quantisation, Revision, command
from benchmarks.commands.llm.showing import print_facts, steps_shown
from benchmarks.commands.llm.training import record_options as items
from benchmarks.commands.llm.training.teacher import teacher_named
from benchmarks.commands.options import Epsilon, Seed, Split
from foundation.console import plain_console

OptionalTask = Annotated[
    str | None, typer.Option(help="Task, such as german or adult:sex@1000 (at most 1000 rows), or a card.")
]


def train(
    context: typer.Context,
    task: OptionalTask = None,
    role: Annotated[str, typer.Option(help="utility, result, procedural or combined.")] = "utility",
    kind: Annotated[str, typer.Option(help="Kind of adapter; 'fairmoe llm adapters' lists them.")] = "lora",
    base: BaseName = "nano",
    revision: Revision = None,
    dtype: Dtype = "auto",
    quantisation: Quantisation = "none",
    device: Device = "auto",
    template: Annotated[str, typer.Option(help="How rows are written: sentence, list or record.")] = "sentence",
    prompt: Annotated[
        str, typer.Option(help="plain, or chat: row and question as a user's turn in the base's chat template.")
    ] = "plain",
    shots: Annotated[
        int, typer.Option(min=0, help="Answered training rows ahead of every row; the expert keeps them in clear text.")
    ] = 0,
    teacher: Annotated[
        str | None,
        typer.Option(help="Learn from a table's model too: lightgbm, or a folder of a bench cell or of a saved bag."),
    ] = None,
    distil: Annotated[float, typer.Option(min=0, max=1, help="How much the teacher counts beside the labels.")] = 0.5,
    temperature: Annotated[float, typer.Option(min=0.01, help="Above 1 the teacher's doubts count more.")] = 2.0,
    start: Annotated[
        int | None, typer.Option(help="First layer that adapters change; default: the last of nano, 0 of others.")
    ] = None,
    scope: Annotated[
        str,
        typer.Option(
            help="What adapters act on: full, the whole text, or suffix, the question and its answers alone: another "
            "and far cheaper model on a large base."
        ),
    ] = "full",
    trials: Annotated[int, typer.Option(min=1, help="Tuning trials.")] = 12,
    batch: Annotated[int, typer.Option(min=1, help="Trials trained at once.")] = 6,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimiser steps; default: as in suites, or --epochs.")
    ] = None,
    explained: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Validation rows whose reasons are measured at the end; default: 128, and none on a base of 256 units "
            "or more for roles that are not chosen by reasons.",
        ),
    ] = None,
    epsilon: Epsilon = 0.02,
    split: Split = 0,
    seed: Seed = 0,
    output: Annotated[Path, typer.Option(help="Output folder; what is found in it is gone on with.")] = Path(
        "results/llm"
    ),
    data: items.Data = None,
    family: items.FamilyName = None,
    config: items.ConfigFile = None,
    method: items.MethodName = "sft",
    name: items.Name = "",
    validation: items.Validation = None,
    count: items.Count = 1000,
    validation_count: items.ValidationCount = 100,
    difficulty: items.Difficulty = None,
    judge: items.Judge = None,
    after: items.After = None,
    preset: items.Preset = "auto",
    rank: items.Rank = None,
    lr: items.LearningRate = None,
    epochs: items.Epochs = None,
    batch_size: items.BatchSize = None,
    seeds: items.Seeds = "",
    option: items.Options = None,
    set_: items.SetAny = None,
    engine: items.Engine = "fairmoe",
    dry_run: items.DryRun = False,
) -> None:
    """Train an adapter expert and save it in PEFT's format; test rows and test items are not touched.

    **--task**: tune an adapter of one role on rows of a task written as text. A fair role is tuned under the utility of
    the utility adapter, which is tuned first.

    **--data** or **--family**: train on items with a prompt and an answer, by a method of 'fairmoe llm methods';
    --config reads settings from a file, also under names of Transformers, PEFT and TRL.

    Interrupt it at any time: the same command goes on.

    Examples: fairmoe llm train --task german · fairmoe llm train --task adult:sex@1000 --role result --kind svf ·
    fairmoe llm train --family arithmetic --count 2000 · fairmoe llm train --data d.jsonl --kind svf --seeds 0,1,2 ·
    fairmoe llm train --data pairs.jsonl --method dpo --option beta=0.1 · fairmoe llm train --config parser.toml
    """
    of_items = items.dispatched(
        context, data=data, family=family, config=config, method=method, name=name, validation=validation, count=count,
        validation_count=validation_count, difficulty=difficulty, judge=judge, after=after,
        preset=preset, rank=rank, lr=lr,
        epochs=epochs, batch_size=batch_size, seeds=seeds, option=option, set_=set_, engine=engine, dry_run=dry_run,
    )  # fmt: skip
    if of_items:
        return
    assert task is not None
    from benchmarks.saving import save_model
    from experts.expert import Role
    from foundation.folder_lock import folder_lock
    from llm_experts.adapters.registry import kind_named
    from llm_experts.bases.identify import base_key
    from llm_experts.decoder.entry import check_scope, scope_named
    from llm_experts.reading.reader import Reader
    from llm_experts.training.text_blocks import TaskTexts
    from llm_experts.training.trainer import Budget, with_reasons
    from llm_experts.training.tuning import stem, tune
    from tasks.load import load_task
    from tasks.templates import format_of

    console = plain_console()
    chosen_scope = scope_named(scope)
    everywhere = kind_named(kind).needs_full_model
    if role not in get_args(Role):
        raise typer.BadParameter(f"There is no role {role!r}; choose one of {', '.join(get_args(Role))}.")
    check_scope(chosen_scope, kind_named(kind))
    format_of(template)
    base = base_named(base, revision)
    loaded = load(base, dtype, quantisation, device, console)
    view = load_task(task, split=split, seed=seed).view()
    first = 0 if everywhere else (-1 if base == "nano" else 0) if start is None else start
    asking = asking_named(view, prompt, shots, seed)
    texts = TaskTexts(view, Reader(loaded, template, first, asking=asking, scope=chosen_scope))
    taught = None if teacher is None else teacher_named(teacher, view, seed, distil, temperature)
    folder = output / f"{view.name.replace(':', '_').replace('@', '_')}_split{split}_seed{seed}"
    budget = Budget() if steps is None else Budget(steps=steps, warm_up=max(1, steps // 12))
    budgets = {name: with_reasons(budget, name, loaded.wide, explained) for name in dict.fromkeys(("utility", role))}
    tuned: dict[str, Any] = {}
    told = f"fairmoe llm train --task {task} --role {role}"
    try:
        with folder_lock(folder, told):
            for name, spent in budgets.items():
                with steps_shown(f"tune {name} {kind}", console) as progress:
                    tuned[name] = tune(
                        texts, name, seed=seed, folder=folder, kind=kind, budget=spent, trials=trials, batch=batch,
                        utility_floor=None if name == "utility" else tuned["utility"],
                        epsilon=None if name == "utility" else epsilon, teacher=taught, progress=progress,
                    )  # fmt: skip
    except KeyboardInterrupt:
        console.print("\nInterrupted. Finished batches of trials are kept: run the same command again to go on.")
        raise typer.Exit(130) from None
    chosen = tuned[role]
    metrics = {k: v for k, v in chosen.best_metrics.items() if k in ("utility@1", "fair_res@1", "fair_proc@1")}
    facts = {**chosen.best_params, **metrics, "parameters": chosen.expert.parameter_count, "feasible": chosen.feasible}
    print_facts(f"{view.name}: {role} expert ({kind}), chosen on validation rows", facts, console)
    place = folder / f"{stem(view.name, kind, role)}_best"
    console.print(f"written: {place}", soft_wrap=True)
    model = folder / f"{stem(view.name, kind, role)}_model"
    origin = {"suite": "llm train", "split": split, "seed": seed, "command": told, "params": dict(chosen.best_params)}
    save_model(chosen.expert, view, model, method=f"llm_{role}", origin=origin)
    if shots:
        console.print(f"The expert holds {shots} training rows in clear text, and so does every package of it.")
    console.print(f"With all that raw rows need: {model} (fairmoe predict, fairmoe package)", soft_wrap=True)
    following = command(
        "evaluate", model, "--promise", task=task, split=split, seed=seed, base=base, dtype=base_key(loaded)["dtype"],
        quantisation=quantisation, device=device,
    )  # fmt: skip
    console.print(f"Next: {following}", soft_wrap=True, highlight=False, markup=False)
