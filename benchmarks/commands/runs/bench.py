"""``fairmoe bench``: the staged benchmark, from data to leaderboard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.commands.options import OwnProtocol, OwnSpace, check_storage
from foundation.console import plain_console, styled

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.plan.shard import Shard
    from benchmarks.plan.suite import Suite
    from benchmarks.run.collect import RunSummary


def bench(
    suite: Annotated[
        str, typer.Argument(help="quick, default, graph, published, text, llm, full, or a suite file (.toml).")
    ] = "default",
    output: Annotated[Path | None, typer.Option(help="Output folder; the default is results/SUITE.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of splits, trials, weights and gates.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Worker processes; the default is one per core.")] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Only these tasks (repeat the option), such as adult:sex or my/card.toml.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="Only these methods (repeat the option); one of your own is my/model.py:make."),
    ] = None,
    splits: Annotated[int | None, typer.Option(min=1, help="Splits per task.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Repetitions of training per split.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Tuning trials per role.")] = None,
    method_seconds: Annotated[
        float | None, typer.Option(help="Longest time of a method on one split; one that takes longer is a timeout.")
    ] = None,
    space: OwnSpace = None,
    use_sensitive: Annotated[
        list[str] | None, typer.Option(help="keep and/or drop the sensitive columns as features.")
    ] = None,
    protocol: OwnProtocol = None,
    base: Annotated[
        str | None,
        typer.Option(help="Base of the text experts: nano, an id (ID@REVISION too), a folder or .gguf file."),
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="Of the base: auto, float32, bfloat16 or float16.")] = None,
    quantisation: Annotated[str | None, typer.Option(help="Of the base: none, nf4, int8 or ternary.")] = None,
    device: Annotated[str | None, typer.Option(help="Where text experts run: auto, cpu or cuda.")] = None,
    text: Annotated[bool, typer.Option(help="Whether the suite's text experts run.")] = True,
    cfa: Annotated[bool, typer.Option(help="Also compute REF and VEF as CFA's code defines them.")] = False,
    strict: Annotated[bool, typer.Option(help="Data that cannot be had is an error.")] = False,
    shard: Annotated[
        str | None,
        typer.Option(help="Only this share of the jobs, such as 3/20; 'fairmoe merge' puts the shares together."),
    ] = None,
    executor: Annotated[
        str | None, typer.Option(help="local (worker processes of this machine) or ray (a Ray cluster).")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster: auto, HOST:PORT, or local for one of its own.")
    ] = None,
    gpus: Annotated[
        float | None, typer.Option(min=0, help="GPUs, or a share of one, that a text unit takes on a cluster.")
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="URL for results (s3://…) where nodes do not share the output folder.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(help="Database of the studies (postgresql://…), on which several drivers may work together."),
    ] = None,
    unit_minutes: Annotated[
        float | None, typer.Option(help="Longest time of a unit on a cluster; one that takes longer is ended.")
    ] = None,
    unit_memory: Annotated[
        float | None, typer.Option(help="GiB that a unit asks of a cluster's node, and may take at most.")
    ] = None,
    node_minutes: Annotated[
        float | None, typer.Option(help="How long units wait for nodes of a cluster that grows by itself.")
    ] = None,
    max_memory: Annotated[
        float | None,
        typer.Option(
            min=0.5, help="GiB of memory at most: rows stay in files (Parquet), for tables that memory does not hold."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what is to be done, what is finished and how long it takes.")
    ] = False,
    nodes: Annotated[
        list[int] | None,
        typer.Option(min=1, help="With --dry-run: how long so many nodes of one core take (repeat the option)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: the plan for machines.")] = False,
) -> None:
    """Tune experts, train gates, fine-tune jointly, score once on test rows, write the leaderboard.

    Interrupt it at any time: the same command goes on where it was and ends in the same numbers.

    Examples: fairmoe bench quick · fairmoe bench default --seed 1 --output results/seed1 ·
    fairmoe bench quick --task my/card.toml --method my/model.py:make --method lightgbm · fairmoe bench full --dry-run ·
    fairmoe bench llm --base Qwen/Qwen3-0.6B --device cuda · fairmoe bench full --executor ray --address head:6379 ·
    fairmoe bench full --shard 3/20 · fairmoe bench full --storage postgresql://ann@db/studies ·
    fairmoe bench quick --task big/card.toml --protocol robust --max-memory 4
    """
    from benchmarks.commands.runs.next_step import choose_hint
    from benchmarks.methods.own_method import check_own
    from benchmarks.plan.environment import available_cores
    from benchmarks.plan.shard import Shard
    from benchmarks.plan.suite import load_suite

    plan = load_suite(
        suite, seed=seed, tasks=task or None, methods=method or None, splits=splits, seeds=seeds, trials=trials,
        space=space, use_sensitive=use_sensitive or None, protocol=protocol, cfa=cfa or None, text=text,
        method_seconds=method_seconds, executor=executor, address=address, gpus=gpus, store=store, storage=storage,
        unit_minutes=unit_minutes, unit_memory=unit_memory, node_minutes=node_minutes,
        llm={"base": base, "dtype": dtype, "quantisation": quantisation, "device": device},
    )  # fmt: skip
    console = plain_console()
    part = None if shard is None else Shard.read(shard)
    folder = output or Path("results") / (plan.name if part is None else f"{plan.name}-shard-{part.index}-of-{part.of}")
    workers = jobs or available_cores()
    check_own(plan.methods)
    limits = {"--unit-minutes": unit_minutes, "--unit-memory": unit_memory, "--node-minutes": node_minutes}
    _check_limits(plan.executor, [name for name, value in limits.items() if value is not None])
    _check_options(plan, dry_run=dry_run, nodes=bool(nodes), as_json=as_json, max_memory=max_memory)
    if dry_run:
        from functools import partial

        from benchmarks.methods.method import Needs
        from benchmarks.plan.dry_run import DryRun, print_plan
        from benchmarks.run.units import units_of

        stages = partial(units_of, text=Needs(gpus=plan.gpus))
        dry = DryRun(plan, folder, workers, stages, part, tuple(nodes or ()))
        if as_json:
            typer.echo(json.dumps(dry.facts(), indent=2))
        else:
            print_plan(dry, console)
        return
    check_storage(plan.storage)
    if max_memory is not None:
        _stream(plan, folder, max_memory, console, named=bool(method), strict=strict, shard=part)
        return
    from benchmarks.run.runner import run_suite

    def prepare() -> None:
        from benchmarks.commands.llm.loading import prepare_base

        if plan.llm is not None:
            prepare_base(plan.llm, console)

    try:
        summary = run_suite(plan, folder, workers=workers, strict=strict, console=console, prepare=prepare, shard=part)
    except KeyboardInterrupt:
        console.print("\nInterrupted. Everything finished is kept: run the same command again to go on.")
        raise typer.Exit(130) from None
    _tell_written(summary, folder, console, choose_hint(folder) if summary.pages else "")
    _end(summary, console)


def _tell_written(summary: RunSummary, folder: Path, console: Console, hint: str) -> None:
    """Where results are, and what to do next."""
    for page in summary.pages:
        if page.parent == folder:
            console.print(f"written: {page}", soft_wrap=True)
    if summary.pages:
        console.print(f"tables as CSV and LaTeX: {folder / 'tables'}", soft_wrap=True)
        console.print(hint, soft_wrap=True, highlight=False)
    console.print("Browse every run with: fairmoe ui", highlight=False)


def _end(summary: RunSummary, console: Console) -> None:
    """Exit with 1 if a cell failed."""
    if not summary.ok:
        failed = f"{len(summary.failures)} cells failed"
        console.print(
            styled(
                failed,
                "bold red",
                "; they are rows with status 'failed' or 'timeout'. Run again to retry only them.",
            )
        )
        raise typer.Exit(1)


def _check_limits(executor: str, given: list[str]) -> None:
    """Refuse limits of units where there are none."""
    if executor == "local" and given:
        raise typer.BadParameter(
            f"{', '.join(given)}: only units of a cluster have such limits. Add --executor ray, or give "
            "--method-seconds, which limits a method on any machine."
        )


def _check_options(plan: Suite, *, dry_run: bool, nodes: bool, as_json: bool, max_memory: float | None) -> None:
    """Refuse options that would be passed over."""
    if (nodes or as_json) and not dry_run:
        raise typer.BadParameter("--nodes and --json say what a plan costs: give them with --dry-run.")
    if max_memory is None:
        if plan.rows_in_files:
            raise typer.BadParameter(f"{plan.name} keeps rows in files: give --max-memory, the GiB that it may hold.")
        return
    if dry_run:
        raise typer.BadParameter("--dry-run knows no rows that stay in files: leave it or --max-memory out.")
    if plan.storage:
        raise typer.BadParameter("--max-memory keeps its studies in the output folder: leave it or --storage out.")
    if plan.executor != "local":
        raise typer.BadParameter(
            "--max-memory runs on this machine, one job after the other: leave --executor out; --shard gives each of "
            "several machines a share."
        )


def _stream(
    plan: Suite, folder: Path, max_memory: float, console: Console, *, named: bool, strict: bool, shard: Shard | None
) -> None:
    """The run in bounded memory, in this process."""
    from benchmarks.run.threads import limit_threads

    limit_threads()
    from benchmarks.streaming.run import run_streamed

    try:
        summary, peak = run_streamed(
            plan, folder, max_memory=max_memory, named=named, console=console, strict=strict, shard=shard
        )
    except KeyboardInterrupt:
        console.print("\nInterrupted. Everything finished is kept: run the same command again to go on.")
        raise typer.Exit(130) from None
    words = f"largest resident memory: {peak:.2f} GiB of {max_memory:g}"
    console.print(words if peak <= max_memory else styled("ABOVE THE LIMIT", "bold red", f" {words}"), highlight=False)
    hint = f"Next: fairmoe report {folder}, or the same command with another --seed."
    _tell_written(summary, folder, console, hint)
    _end(summary, console)
