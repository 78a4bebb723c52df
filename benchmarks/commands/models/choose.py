"""``fairmoe choose``: the model to use for one task of a finished run, saved and ready."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foundation.console import plain_console, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from benchmarks.choice.deliver import Delivered
    from benchmarks.choice.rule import Recommendation

SHOWN = 8
"""Candidates in the table; choice.json has all."""

NOTHING = 3
"""Exit code where no candidate keeps what is asked."""


def choose(
    run: Annotated[Path, typer.Argument(help="Output folder of a finished bench run, such as results/quick.")],
    task: Annotated[str, typer.Option(help="Task as the run calls it, such as adult:sex, or the path of a card.")],
    metric: Annotated[
        str,
        typer.Option(help="What is limited: fair_res, dp, eopp, eodds, worst_acc, acc_gap or another of counts."),
    ] = "fair_res",
    max_gap: Annotated[
        float,
        typer.Option(
            help="Largest value allowed; for worst_acc, ratios and others of which high is better the "
            "smallest. inf: any."
        ),
    ] = 0.05,
    max_procedural: Annotated[
        str | None, typer.Option(help="Also bound the reasons, such as ATT_JSD=.1 (or fair_proc, ref, vef).")
    ] = None,
    min_utility: Annotated[float | None, typer.Option(help="Smallest utility, in [0, 1].")] = None,
    transfer: Annotated[
        float | None, typer.Option(help="Smallest probability that new rows keep the limit, such as 0.8.")
    ] = None,
    without_group: Annotated[
        bool, typer.Option("--without-group", help="The model must decide without being told the group of a row.")
    ] = False,
    method: Annotated[
        list[str] | None, typer.Option(help="Choose among these methods only (repeat the option).")
    ] = None,
    split: Annotated[
        int, typer.Option(min=0, help="Whose model is delivered; all splits of the task decide which.")
    ] = 0,
    refit: Annotated[
        bool, typer.Option("--refit", help="Deliver the same configuration fitted on all rows, test rows among them.")
    ] = False,
    new_rows: Annotated[
        int | None, typer.Option(min=1, help="Rows that the limit is to be kept on; default: as many as test rows.")
    ] = None,
    use_sensitive: Annotated[
        str | None, typer.Option(help="keep or drop, where the run has the task in both ways.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the model; default: RUN/models/TASK/METHOD-WAY-METRIC-LIMIT.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a saved model at that folder.")] = False,
    allow_changed_code: Annotated[
        bool,
        typer.Option(
            "--allow-changed-code", help="Go on if code has changed since the run: the model must say what is stored."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print choice.json instead of sentences.")] = False,
    seed: Annotated[int, typer.Option(help="Of the folds and of the draws that probabilities come from.")] = 0,
) -> None:
    """Choose the model for one task: the most useful that keeps a limit, of any method, saved with its thresholds.

    Chosen by rows that choose (validation and out-of-fold rows), cross-fitted; test rows are looked at once, after it.

    Exit code **0**: a model was saved. **2**: the choice cannot be made as asked. **3**: nothing keeps what is asked.

    Examples: fairmoe choose results/quick --task adult:sex · fairmoe choose results/quick --task adult:sex
    --metric dp --max-gap 0.1 --transfer 0.8 · fairmoe choose results/quick --task bail_clean:race --without-group
    """
    from benchmarks.choice.asked import Asked, bound_of
    from benchmarks.choice.choose import choose as recommended
    from benchmarks.choice.deliver import check_free, default_folder, deliver
    from benchmarks.choice.reading import find_cells, read_grounds, read_materials
    from benchmarks.choice.record import choice_record
    from benchmarks.choice.words import recommendation_words
    from benchmarks.run.rebuild import check_unchanged
    from metrics.registry import metric_id

    console, progress = plain_console(), plain_console(stderr=True)
    asked = Asked(
        metric_id(metric), max_gap, min_utility, None if max_procedural is None else bound_of(max_procedural), transfer,
        without_group, new_rows, seed,
    )  # fmt: skip
    cells = find_cells(run, task, method or (), use_sensitive)
    cells.check_split(split)
    if not allow_changed_code:
        check_unchanged(cells.open(split, cells.methods[0]))
    if output is not None:
        check_free(output, force=force)
    with progress.status(f"Reading {cells.task}") as status:
        grounds, _ = read_grounds(cells, seed)
        materials = read_materials(cells, grounds, reasons=asked.bound is not None)
        found = recommended(grounds, materials, asked, lambda name: status.update(f"Choosing: {name}"))
        rows = asked.new_rows or grounds[cells.splits.index(split)].new_rows
        said = tuple(recommendation_words(found, cells, rows))
        if found.best is None:
            status.stop()
            record = choice_record(found, cells, split, said)
            _print_json(record) if as_json else _show(console, said, found, "with --json all of them, and reasons.")
            raise typer.Exit(NOTHING)
        folder = output or default_folder(cells, found.best, asked)
        made = deliver(
            found, cells, split, folder, said, refit=refit, force=force, allow_changed_code=allow_changed_code,
            notify=lambda _, stage, __: status.update(f"Making the model again: {stage}"),
        )  # fmt: skip
    if as_json:
        _print_json(made.record)
        return
    _show(console, said, found)
    _show_delivered(console, made)


def _print_json(record: dict[str, object]) -> None:
    import json

    typer.echo(json.dumps(record, indent=2, sort_keys=True, allow_nan=False))


def _show(
    console: Console, said: Sequence[str], found: Recommendation, where: str = "choice.json has all, with reasons."
) -> None:
    first, *rest = said
    console.print(styled(first, "bold red" if found.best is None else "bold green"), highlight=False)
    for sentence in rest:
        console.print(sentence, highlight=False)
    console.print(_table(found))
    kept = (found.best is not None) + len(found.rivals)
    console.print(
        f"{kept} of {kept + len(found.out)} candidates keep what is asked; {where}",
        highlight=False,
    )


def _table(found: Recommendation) -> object:
    """The best few candidates, then the closest of those that are out."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from benchmarks.choice.words import short
    from reports.format import value_text

    able = [] if found.best is None else [found.best, *(rival.candidate for rival in found.rivals)]
    leads = {id(rival.candidate): rival.lead for rival in found.rivals}
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("candidate", overflow="fold")
    for name in ("utility", short(found.asked.metric), "P(kept)", "group", "behind, 95 %"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in (able or list(found.out))[:SHOWN]:
        lead = leads.get(id(one))
        behind = "" if lead is None else f"{lead.value:.3f} ±{(lead.high - lead.low) / 2:.3f}"
        numbers = (value_text(one.utility.value, 3), value_text(one.gap, 3), value_text(one.probability, 2))
        table.add_row(one.name, *numbers, "needed" if one.needs_group else "no", behind)
    return table


def _show_delivered(console: Console, made: Delivered) -> None:
    for sentence in made.said:
        broken = "BROKEN" in sentence
        console.print(styled(sentence, "bold red" if broken else ""), highlight=False)
    console.print()
    console.print(f"Saved: {made.folder}", soft_wrap=True, highlight=False)
    console.print("Next:", highlight=False)
    for verb, rest in (
        ("predict", "rows.csv"),
        ("monitor", f"rows.csv --labels {made.label}"),
        ("package", "--name NAME --author YOU"),
    ):
        console.print(f"  fairmoe {verb} {made.folder} {rest}", soft_wrap=True, highlight=False)
