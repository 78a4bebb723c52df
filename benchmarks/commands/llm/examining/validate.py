"""``fairmoe llm validate``: whether an expert is whole, and better than its base on validation items."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.commands.llm.examining.examination import Asked, examine
from benchmarks.commands.llm.loading import load
from benchmarks.commands.llm.options import AnyExpert, BaseName, Device, Dtype, Quantisation, Requests, Style
from benchmarks.commands.options import Seed
from foundation.console import plain_console, styled

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.examining.checks import Check


def validate(
    expert: Annotated[str, typer.Argument(help=f"An expert: {AnyExpert}.")],
    family: Annotated[str | None, typer.Option(help="Validation items of a task family.")] = None,
    data: Annotated[Path | None, typer.Option(help="Validation items: a file of JSON lines.")] = None,
    base: BaseName = "nano",
    dtype: Dtype = "auto",
    quantisation: Quantisation = "none",
    device: Device = "auto",
    count: Annotated[int, typer.Option(min=1, help="Items of a family.")] = 200,
    difficulty: Annotated[float | None, typer.Option(min=0, max=1, help="Of a family's items; default: a mix.")] = None,
    judge: Annotated[str | None, typer.Option(help="Family whose checker judges the answers to a file.")] = None,
    scores: Annotated[list[str] | None, typer.Option("--score", help="Scores instead of the set's own.")] = None,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer.")] = None,
    style: Style = "auto",
    batch: Requests = 16,
    trained_on: Annotated[
        Path | None, typer.Option(help="The expert's training data: what of the items stands in it is told.")
    ] = None,
    seed: Seed = 0,
    allow_untrusted: Annotated[
        bool, typer.Option(help="Also a .expert file that nobody whom you trust signed.")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="Folder of tables and answers.")] = None,
) -> None:
    """Check an expert: files and weights, base, package, and how it does on validation items beside its base.

    Every adapter in the folder is examined (checkpoints too) and compared with the base by paired tests, adjusted by
    Holm. Test items are not touched. Without --family and --data only files, weights and base are checked. The exit
    code is 1 if a check fails, or the expert is surely worse than its base.

    Examples: fairmoe llm validate results/experts/sums --family arithmetic · fairmoe llm validate sums.expert
    --data validation.jsonl --trained-on train.jsonl
    """
    from benchmarks.examining.checks import check_expert
    from benchmarks.examining.opening import opened

    console = plain_console()
    if family is not None and data is not None:
        raise typer.BadParameter("Give --family or --data, not both.")
    loaded = load(base, dtype, quantisation, device, console)
    with opened([expert], loaded, allow_untrusted=allow_untrusted) as found:
        checks = check_expert(found)
        _print(checks, console)
        failed = not all(check.ok for check in checks)
        if failed:
            raise typer.Exit(1)
        if family is None and data is None:
            console.print(
                f"Next: fairmoe llm validate {expert} --family NAME (or --data FILE): how good it is.",
                soft_wrap=True, markup=False, highlight=False,
            )  # fmt: skip
            return
        asked = Asked(
            family=family, data=data, part="validation", count=count, seed=seed, difficulty=difficulty, judge=judge,
            scores=tuple(scores or ()), max_new_tokens=max_new_tokens, style=style, batch=batch, trained_on=trained_on,
        )  # fmt: skip
        material = asked.material()
        candidates = [found.candidate(name, {name: 1.0}) for name in found.folders]
        held, folder = examine(loaded, found, candidates, material, asked, asked.learnt(), output, console)
    worse = _told(held, console)
    console.print(f"written: {folder}", soft_wrap=True, markup=False, highlight=False)
    what = f"--family {family}" if family else "--data TEST_FILE"
    console.print(f"Next: fairmoe llm evaluate {expert} {what}", soft_wrap=True, markup=False, highlight=False)
    if worse:
        raise typer.Exit(1)


def _told(held: object, console: Console) -> bool:
    """One sentence for each model by the main score; whether the first is surely worse than the base."""
    from benchmarks.examining.holding import Held
    from benchmarks.examining.showing import SURE, verdict

    assert isinstance(held, Held)
    main = held.material.scores[0]
    mine = [one for one in held.comparisons if one.score == main.id]
    for one in mine:
        console.print(verdict(one), soft_wrap=True, markup=False, highlight=False)
    sign = 1 if main.better == "higher" else -1
    return bool(mine) and mine[0].status == "ok" and mine[0].p_holm <= SURE and sign * mine[0].difference < 0


def _print(checks: list[Check], console: Console) -> None:
    for check in checks:
        mark = styled("yes:", "green", f" {check.what}") if check.ok else styled("no:", "bold red", f" {check.what}")
        console.print(mark, soft_wrap=True)
