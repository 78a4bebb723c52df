"""``fairmoe llm bias``: language bias sets of a base, adapters and their mixture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.commands.llm.loading import adapters_of, base_named, load, names_of
from benchmarks.commands.llm.options import AnyExpert, BaseName, Device, Dtype, Quantisation, Revision
from foundation.console import plain_console, styled

MODEL, BIAS, FORMAT = "model.json", "bias.json", "fairmoe-bias/1"
KEPT = ("set", "metric", "estimate", "low", "high", "status", "reason", "items", "of", "limit", "seed", "scoring")

if TYPE_CHECKING:
    from rich.console import Console


def bias(
    experts: Annotated[
        list[str] | None,
        typer.Argument(help=f"Experts or adapters, each {AnyExpert}; the base is always scored."),
    ] = None,
    base: BaseName = "nano",
    revision: Revision = None,
    dtype: Dtype = "auto",
    quantisation: Quantisation = "none",
    device: Device = "auto",
    only: Annotated[
        list[str] | None, typer.Option(help="Only these sets: bbq, bold, crows_pairs, stereoset, winobias.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Items of each set (drawn by strata); default: all.")] = None,
    mixture: Annotated[bool, typer.Option(help="Also score the uniform mixture of the experts.")] = False,
    promise: Annotated[
        bool,
        typer.Option("--promise", help="Write each saved model's overall scores into it; its package then holds them."),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the items that are drawn and of the intervals.")] = 0,
    output: Annotated[Path | None, typer.Option(help="Also write all rows as CSV.")] = None,
) -> None:
    """Score BBQ, BOLD, CrowS-Pairs, StereoSet and WinoBias for a base, adapters and their mixture, with intervals.

    Examples: fairmoe llm bias --limit 200 · `fairmoe llm bias results/llm/*/*_best --mixture` ·
    fairmoe llm bias german-text --limit 200 · fairmoe llm bias results/llm/*/*_model --promise
    """
    import pandas as pd
    import torch

    from benchmarks.models.text_experts import text_expert_folders
    from foundation.files import write_text
    from llm_experts.bias import SETS, LMScorer, MixtureScorer, RememberingScorer, score_bias

    console, which = plain_console(), experts or []
    if mixture and len(which) < 2:
        raise typer.BadParameter(f"--mixture needs at least two experts, {len(which)} given; name them.")
    if promise:
        _check_models(which)
    base = base_named(base, revision)
    loaded = load(base, dtype, quantisation, device, console)
    scorers: dict[str, Any] = {base: LMScorer.of(loaded)}
    with text_expert_folders(which) as folders:
        adapters = adapters_of(folders, loaded)
    for name, adapter in zip(names_of(which), adapters, strict=True):
        made = LMScorer.of(loaded) if adapter is None else LMScorer.with_adapter(loaded, adapter)
        scorers[name] = RememberingScorer(made)
    if mixture:
        members = list(scorers.values())[1:]
        scorers["uniform mixture"] = MixtureScorer(members, torch.full((len(members),), 1 / len(members)))
    rows = []
    for name, scorer in scorers.items():
        with console.status(styled("scoring", "", f" {name}")):
            rows += [{"model": name, **row} for row in score_bias(scorer, tuple(only or SETS), limit, seed)]
    _print_bias(_overall(rows), console)
    if promise:
        _promise(dict(zip(names_of(which), which, strict=True)), rows, console)
    if output is not None:
        write_text(output, pd.DataFrame(rows).to_csv(index=False))
        console.print(f"written: {output}", soft_wrap=True)


def _check_models(which: list[str]) -> None:
    """Before the minutes that scoring takes."""
    others = [name for name in which if not (Path(name) / MODEL).is_file()]
    if others or not which:
        raise typer.BadParameter(
            f"--promise writes into saved models, folders with {MODEL} such as the ..._model that 'fairmoe llm train' "
            f"writes; {others[0] if others else 'nothing'} is none."
        )


def _promise(folders: dict[str, str], rows: list[dict[str, Any]], console: Console) -> None:
    from foundation.files import write_json
    from foundation.numbers import finite

    for name, folder in folders.items():
        mine = [{key: row[key] for key in KEPT} for row in _overall(rows) if row["model"] == name]
        write_json(Path(folder) / BIAS, finite({"format": FORMAT, "rows": mine}))
        console.print(f"promised in {folder}. Next: fairmoe package {folder} --name NAME --author YOU", soft_wrap=True)


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
