"""``fairmoe llm``: base models, adapter experts on rows written as text, their language bias, searched mixtures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.plan.suite import LLMSettings
    from llm_experts.bases.base import Base
    from llm_experts.reading.expert import LLMExpert

app = typer.Typer(no_args_is_help=True, help="Text experts: adapters on a frozen language model, on the same rows.")

BaseName = Annotated[str, typer.Option(help="nano (pretrained here, once), a Hugging Face id or a folder.")]
Dtype = Annotated[str, typer.Option(help="auto (float32 on a CPU, bfloat16 on a GPU), float32, bfloat16 or float16.")]
Quantisation = Annotated[str, typer.Option(help="none, nf4 or int8 (bitsandbytes, on CPU and GPU).")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Seed = Annotated[int, typer.Option(help="Seed of split, trials and weights.")]
TaskName = Annotated[str, typer.Option(help="Task, such as german or adult:sex@1000 (at most 1000 rows), or a card.")]
Split = Annotated[int, typer.Option(min=0, help="Which repetition of the robust split.")]


@app.command("base")
def base(
    base: BaseName = "nano",
    dtype: Dtype = "auto",
    quantisation: Quantisation = "none",
    device: Device = "auto",
    corpus: Annotated[
        list[Path] | None, typer.Option(help="Text file that nano reads beside the generated texts (repeatable).")
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="Cache folder of nano; a new one pretrains it anew.")] = None,
) -> None:
    """Load a base model, pretraining nano if it is not in the cache, and say what it is.

    Examples: fairmoe llm base · fairmoe llm base --base Qwen/Qwen3-0.6B --dtype bfloat16 --quantisation nf4
    """
    from rich.console import Console

    console = Console()
    facts: dict[str, Any] = {}
    name = base
    if base == "nano":
        from llm_experts.bases.nano import ensure_nano, nano_facts

        with _pretraining(console) as progress:
            folder = ensure_nano(cache, progress, tuple(corpus or ()))
        facts, name = nano_facts(folder), str(folder)
    elif corpus or cache:
        raise typer.BadParameter("--corpus and --cache belong to nano, which is pretrained here.")
    loaded = _load(name, dtype, quantisation, device, console)
    facts = {
        **facts, "weights": loaded.hash, "layers": loaded.n_layers, "hidden size": loaded.hidden_size,
        "context": loaded.context, "dtype": str(loaded.model.dtype).removeprefix("torch."),
        "device": str(loaded.device), "quantisation": loaded.quantisation,
        "parameters": sum(p.numel() for p in loaded.model.parameters()),
    }  # fmt: skip
    _print_facts(f"base {base}", facts, console)
    console.print("Next: fairmoe llm train --task german --role utility")


@app.command("adapters")
def adapters(
    width: Annotated[int, typer.Option(min=1, help="Hidden size of the base: nano has 128, Qwen3-0.6B 1024.")] = 128,
) -> None:
    """The kinds of adapters, and what tuning chooses of each: learning rates of matrices go with 1 / width."""
    from rich.console import Console
    from rich.table import Table

    from llm_experts.adapters.registry import ADAPTERS
    from llm_experts.training.search_space import learning_rates

    table = Table(title=f"kinds of adapters, on a base of width {width}")
    for column in ("kind", "title", "learning rates", "ranks", "layers"):
        table.add_column(column)
    for kind in ADAPTERS.values():
        ranks = (
            ", ".join("all" if r is None else str(r) for r in kind.rank_choices) if len(kind.rank_choices) > 1 else "–"
        )
        low, high = learning_rates(kind.name, width)
        where = "all (virtual tokens)" if kind.needs_full_model else "any"
        table.add_row(kind.name, kind.label, f"{low:g} … {high:g}", ranks, where)
    Console().print(table)


@app.command("train")
def train(
    task: TaskName,
    role: Annotated[str, typer.Option(help="utility, result, procedural or combined.")] = "utility",
    kind: Annotated[str, typer.Option(help="Kind of adapter; 'fairmoe llm adapters' lists them.")] = "lora",
    base: BaseName = "nano",
    dtype: Dtype = "auto",
    quantisation: Quantisation = "none",
    device: Device = "auto",
    template: Annotated[str, typer.Option(help="How rows are written: sentence, list or record.")] = "sentence",
    start: Annotated[
        int | None, typer.Option(help="First layer that adapters change; default: the last of nano, 0 of others.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Tuning trials.")] = 12,
    batch: Annotated[int, typer.Option(min=1, help="Trials trained at once.")] = 6,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps of a trial; default: as in suites.")] = None,
    epsilon: Annotated[float, typer.Option(min=0, help="Validation utility that a fair expert may cost.")] = 0.02,
    split: Split = 0,
    seed: Seed = 0,
    output: Annotated[Path, typer.Option(help="Output folder; trials found in it are kept.")] = Path("results/llm"),
) -> None:
    """Tune an adapter of one role on validation rows and save it in PEFT's format; test rows are not touched.

    A fair role is tuned under the utility of the utility adapter, which is tuned first. Interrupt it at any time: the
    same command goes on.

    Examples: fairmoe llm train --task german · fairmoe llm train --task adult:sex@1000 --role result --kind svf
    """
    from rich.console import Console

    from experts.expert import Role
    from llm_experts.adapters.registry import kind_named
    from llm_experts.reading.reader import Reader
    from llm_experts.training.text_blocks import TaskTexts
    from llm_experts.training.trainer import Budget
    from llm_experts.training.tuning import stem, tune
    from tasks.load import load_task
    from tasks.templates import format_of

    console = Console()
    everywhere = kind_named(kind).needs_full_model
    if role not in get_args(Role):
        raise typer.BadParameter(f"There is no role {role!r}; choose one of {', '.join(get_args(Role))}.")
    format_of(template)
    loaded = _load(base, dtype, quantisation, device, console)
    view = load_task(task, split=split, seed=seed).view()
    first = 0 if everywhere else (-1 if base == "nano" else 0) if start is None else start
    texts = TaskTexts(view, Reader(loaded, template, first))
    folder = output / f"{view.name.replace(':', '_').replace('@', '_')}_split{split}_seed{seed}"
    budget = Budget() if steps is None else Budget(steps=steps, warm_up=max(1, steps // 12))
    tuned: dict[str, Any] = {}
    try:
        for name in dict.fromkeys(("utility", role)):
            with _steps(f"tune {name} {kind}", console) as progress:
                tuned[name] = tune(
                    texts, name, seed=seed, folder=folder, kind=kind, budget=budget, trials=trials, batch=batch,
                    utility_floor=None if name == "utility" else tuned["utility"],
                    epsilon=None if name == "utility" else epsilon, progress=progress,
                )  # fmt: skip
    except KeyboardInterrupt:
        console.print("\nInterrupted. Finished batches of trials are kept: run the same command again to go on.")
        raise typer.Exit(130) from None
    chosen = tuned[role]
    metrics = {k: v for k, v in chosen.best_metrics.items() if k in ("utility@1", "fair_res@1", "fair_proc@1")}
    facts = {**chosen.best_params, **metrics, "parameters": chosen.expert.parameter_count, "feasible": chosen.feasible}
    _print_facts(f"{view.name}: {role} expert ({kind}), chosen on validation rows", facts, console)
    place = folder / f"{stem(view.name, kind, role)}_best"
    console.print(f"written: {place}", soft_wrap=True)
    console.print(f"Next: fairmoe llm evaluate {place} --task {task} --split {split}", soft_wrap=True, highlight=False)


@app.command("evaluate")
def evaluate(
    expert: Annotated[Path, typer.Argument(help="Folder of an expert that 'fairmoe llm train' wrote.")],
    task: TaskName,
    base: BaseName = "nano",
    dtype: Dtype = "auto",
    quantisation: Quantisation = "none",
    device: Device = "auto",
    split: Split = 0,
    seed: Seed = 0,
) -> None:
    """Score an expert on the test rows of a task: every fixed metric with its interval.

    Example: fairmoe llm evaluate results/llm/german_split0_seed0/german_llm_lora_utility_best --task german
    """
    from rich.console import Console

    from benchmarks.commands.score import print_table
    from experts.evidence import collect_evidence
    from metrics.score import score
    from tasks.load import load_task

    console = Console()
    found = _experts([expert], _load(base, dtype, quantisation, device, console))[0]
    loaded = load_task(task, split=split, seed=seed)
    rows = loaded.split.test
    with console.status(f"reading {len(rows)} test rows, each column left out once"):
        evidence = collect_evidence(found, loaded.view(), rows)
    scores = score(evidence, loaded.labels[rows], loaded.groups[rows], loaded.group_names, seed=seed)
    print_table({"task": loaded.name, "protocol": "robust", "split": split, "rows": len(rows)}, scores)
    mass = found.answer_mass(loaded.view(), loaded.split.validation)
    console.print(f"answer mass on validation rows: mean {mass.mean:.3f}, below 0.1 on {mass.low:.0%} of them")


@app.command("bias")
def bias(
    experts: Annotated[list[Path] | None, typer.Argument(help="Folders of experts; the base is always scored.")] = None,
    base: BaseName = "nano",
    dtype: Dtype = "auto",
    quantisation: Quantisation = "none",
    device: Device = "auto",
    only: Annotated[
        list[str] | None, typer.Option(help="Only these sets: bbq, crows_pairs, stereoset, winobias.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Items of each set (drawn by strata); default: all.")] = None,
    mixture: Annotated[bool, typer.Option(help="Also score the uniform mixture of the experts.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the items that are drawn and of the intervals.")] = 0,
    output: Annotated[Path | None, typer.Option(help="Also write all rows as CSV.")] = None,
) -> None:
    """Score BBQ, CrowS-Pairs, StereoSet and WinoBias for a base, adapters and their mixture, with intervals.

    Examples: fairmoe llm bias --limit 200 · `fairmoe llm bias results/llm/*/*_best --mixture`
    """
    import pandas as pd
    import torch
    from rich.console import Console

    from foundation.files import write_text
    from llm_experts.bias import SETS, LMScorer, MixtureScorer, RememberingScorer, score_bias

    console, folders = Console(), experts or []
    if mixture and len(folders) < 2:
        raise typer.BadParameter(f"--mixture needs at least two experts, {len(folders)} given; name their folders.")
    loaded = _load(base, dtype, quantisation, device, console)
    scorers: dict[str, Any] = {base: LMScorer.of(loaded)}
    for name, expert in zip(_names(folders), _experts(folders, loaded), strict=True):
        adapter = expert.adapter
        made = LMScorer.of(loaded) if adapter is None else LMScorer.with_adapter(loaded, adapter)
        scorers[name] = RememberingScorer(made)
    if mixture:
        members = list(scorers.values())[1:]
        scorers["uniform mixture"] = MixtureScorer(members, torch.full((len(members),), 1 / len(members)))
    rows = []
    for name, scorer in scorers.items():
        with console.status(f"scoring {name}"):
            rows += [{"model": name, **row} for row in score_bias(scorer, tuple(only or SETS), limit, seed)]
    _print_bias(_overall(rows), console)
    if output is not None:
        write_text(output, pd.DataFrame(rows).to_csv(index=False))
        console.print(f"written: {output}", soft_wrap=True)


@app.command("search")
def search(
    experts: Annotated[list[Path], typer.Argument(help="Folders of SVF experts of the same base.")],
    task: TaskName,
    base: BaseName = "nano",
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
    split: Split = 0,
    seed: Seed = 0,
    output: Annotated[Path, typer.Option(help="Output folder; true evaluations found in it are kept.")] = Path(
        "results/llm/search"
    ),
) -> None:
    """Search for a mixture of SVF experts on one half of the validation rows; the other half accepts or rejects it.

    Experts are what 'fairmoe llm train --kind svf' wrote, one per role.

    Example: `fairmoe llm search results/llm/german_split0_seed0/*svf*_best --task german --constraint "dp@1<=0.05"`
    """
    from rich.console import Console

    from benchmarks.methods.text import halves
    from llm_experts.mixtures.svf_mixtures import SVFMixtures
    from llm_experts.search import Constraint, Objective, SearchRows, SearchSettings, search_mixtures
    from tasks.load import load_task

    console = Console()
    settings = SearchSettings(
        objectives=tuple(Objective(name) for name in ("utility@1", *(minimise or ["dp@1"]))),
        constraints=tuple(Constraint(*_constraint(text)) for text in constraint or ()),
        generations=generations, population=population, base_floor=floor, seed=seed,
    )  # fmt: skip
    found = tuple(_experts(experts, _load(base, dtype, quantisation, device, console)))
    view = load_task(task, split=split, seed=seed).view()
    parts = [SVFMixtures(found, view, rows) for rows in halves(view, seed)]
    rows = [SearchRows(view.labels[p.rows], view.groups[p.rows], view.group_names) for p in parts]
    with _steps("search", console) as progress:
        result = search_mixtures(
            parts[0], rows[0], settings, held_out=(parts[1], rows[1]), folder=output,
            progress=lambda done, total, _: progress(done, total),
        )  # fmt: skip
    result.save(output)
    _print_facts("winner", {**result.winner.alphas, **result.winner.search}, console)
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


def prepare_base(settings: LLMSettings, console: Console) -> None:
    """Have the base of a suite ready before its jobs start: an error comes at once, and nano is pretrained once."""
    _load(settings.base, settings.dtype, settings.quantisation, settings.device, console)


def _load(name: str, dtype: str, quantisation: str, device: str, console: Console) -> Base:
    from benchmarks.methods.text import device_of
    from llm_experts.bases.load import load_base

    with _pretraining(console) as progress:
        return load_base(name, dtype=dtype, quantisation=quantisation, device=device_of(device), progress=progress)


def _experts(folders: list[Path], base: Base) -> list[LLMExpert]:
    """Experts of folders; those that read alike share a reader."""
    from llm_experts.reading.expert import load_llm_expert

    found: list[LLMExpert] = []
    for folder in folders:
        found.append(load_llm_expert(folder, base, [expert.reader for expert in found]))
    return found


def _pretraining(console: Console) -> Any:
    """Progress of a pretraining: appears with its first report."""
    from contextlib import contextmanager

    @contextmanager
    def shown() -> Any:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("pretraining nano"), BarColumn(), TextColumn("loss {task.fields[loss]:.3f}"))
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
            task: list[Any] = []

            def report(now: Any) -> None:
                if not task:
                    task.append(bar.add_task("", total=1.0, loss=now.loss))
                bar.update(task[0], completed=now.share, loss=now.loss)

            yield report

    return shown()


def _steps(words: str, console: Console) -> Any:
    """Progress of so many steps."""
    from contextlib import contextmanager

    @contextmanager
    def shown() -> Any:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    return shown()


def _print_facts(title: str, facts: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    table = Table(title=title, show_header=False)
    table.add_column("what")
    table.add_column("value", overflow="fold")
    for name, value in facts.items():
        if isinstance(value, dict):
            for key, item in value.items():
                table.add_row(f"{name}: {key}", _word(item))
        else:
            table.add_row(name, _word(value))
    console.print(table)


def _word(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _names(folders: list[Path]) -> list[str]:
    """Names of experts in tables: their folders', with those that they lie in where two are called alike."""
    found = [folder.resolve() for folder in folders]
    short = [path.name for path in found]
    return [n if short.count(n) == 1 else f"{p.parent.name}/{n}" for n, p in zip(short, found, strict=True)]


def _overall(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of whole sets: BBQ's is the mean over its categories, the others' are all their items."""
    return [row for row in rows if row["category"] in ("macro", "all")]


def _print_bias(rows: list[dict[str, Any]], console: Console) -> None:
    import math

    from rich.table import Table

    table = Table(title="language bias sets")
    for column in ("model", "set", "metric", "estimate", "95 % interval", "items", "status"):
        table.add_column(column)
    for row in rows:
        known = math.isfinite(row["estimate"])
        interval = f"{row['low']:.3f} … {row['high']:.3f}" if math.isfinite(row["low"]) else "–"
        status = row["status"] if row["status"] == "ok" else f"{row['status']}: {row['reason']}"
        estimate = f"{row['estimate']:.3f}" if known else "–"
        table.add_row(row["model"], row["set"], row["metric"], estimate, interval, f"{row['items']}", status)
    console.print(table)
