"""``fairmoe compare``: what changed between two runs, and whether it is more than noise."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foundation.console import plain_console, styled

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from reports.runs.comparison import RunComparison
    from reports.runs.metric_changes import MetricChange

SHOWN = 12
"""Cells of one kind that are named on the console; --json has all."""


def compare(
    run_a: Annotated[Path, typer.Argument(help="Output folder of the earlier run, such as results/before.")],
    run_b: Annotated[Path, typer.Argument(help="Output folder of the later run.")],
    metric: Annotated[
        list[str] | None, typer.Option(help="Only these metrics (repeat the option); default: the headline metrics.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="Only these methods (repeat the option).")] = None,
    rows: Annotated[
        bool, typer.Option(help="Also compare test row by test row (needs the data); for runs with a single split.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also list the changes that are within noise.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write everything to this file, for machines.")] = None,
) -> None:
    """Say what changed between two runs (settings, code, data, cells) and which change of a number is more than noise.

    Differences are paired over the scenarios (task × split) that both runs have with the same bytes, tested with the
    corrected resampled t test, and Holm-corrected together: naming fewer metrics and methods sees smaller changes.

    Exit code **0**: no established worsening (the same numbers, noise, or better). **1**: at least one established
    worsening, or a cell that was finished before and fails now. **2**: the runs cannot be compared (no common task,
    other data, missing files).

    Examples: fairmoe compare results/before results/after · fairmoe compare A B --metric fair_res@1 --method mixture
    """
    from reports.render.run_words import as_json
    from reports.runs.comparison import compare_runs
    from reports.table import read_core

    folders = (run_a, run_b)
    tables = (read_core(run_a), read_core(run_b))
    found = compare_runs(*tables, metric or (), method or ())
    if rows and not found.same_numbers:
        from dataclasses import replace

        from benchmarks.predictions.paired_rows import compare_rows

        by_row = compare_rows(folders, tables, metric or (), method or ())
        found = replace(found, rows=by_row.tests, notes=tuple(by_row.notes))
    if json is not None:
        from foundation.files import write_json

        write_json(json, {"first": str(run_a), "second": str(run_b), **as_json(found)})
    _show(found, folders, plain_console(), everything)
    if found.worsened:
        raise typer.Exit(1)


def _show(found: RunComparison, folders: tuple[Path, Path], console: Console, everything: bool) -> None:
    from reports.render.run_words import sentences

    _show_changes(found, folders, console)
    _show_cells(found, console)
    for refusal in found.refused:
        splits = ", ".join(map(str, refusal.splits))
        console.print(
            styled(
                "NOT COMPARED",
                "bold yellow",
                f" {refusal.task} (sensitive {refusal.use_sensitive}), splits {splits}: {refusal.reason}.",
            ),
            soft_wrap=True,
        )
    for note in found.notes:
        console.print(styled("NOTE", "bold yellow", f" {note}"), soft_wrap=True, highlight=False)
    _show_tests(found, console, everything)
    console.print()
    for sentence in sentences(found):
        console.print(sentence, soft_wrap=True, highlight=False)


def _show_changes(found: RunComparison, folders: tuple[Path, Path], console: Console) -> None:
    from rich.table import Table

    if not found.changes:
        console.print("Settings, code, environment and libraries are the same.")
        return
    table = Table(title="What changed", title_justify="left")
    table.add_column("")
    for folder in folders:
        table.add_column(str(folder), overflow="fold")
    for change in found.changes:
        table.add_row(change.what, change.first, change.second)
    console.print(table)


def _show_cells(found: RunComparison, console: Console) -> None:
    cells = found.cells
    console.print(f"{cells.both} cells are finished in both runs.", highlight=False)
    for names, words in (
        (cells.broken, "FAILED NOW, finished before"),
        (cells.mended, "failed before, finished now"),
        (cells.only_first, "only in the first run"),
        (cells.only_second, "only in the second run"),
        (cells.missing_first, "missing in the first run"),
        (cells.missing_second, "missing in the second run"),
    ):
        if names:
            style = "bold red" if names is cells.broken else ""
            console.print(styled(f"{len(names)} cells {words}:", style), highlight=False)
            for name in names[:SHOWN]:
                console.print(f"  {name}", soft_wrap=True, highlight=False)
            if len(names) > SHOWN:
                console.print(f"  … and {len(names) - SHOWN} more (--json names all)", highlight=False)


def _show_tests(found: RunComparison, console: Console, everything: bool) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    order = {"worse": 0, "better": 1, "within noise": 2, "one split": 3, "identical": 4, "not estimable": 5}
    shown = [test for test in (*found.tests, *found.rows) if everything or test.verdict in ("worse", "better")]
    if not shown:
        return
    title = "Changes" if everything else "Changes that are more than noise"
    caption = "rows of a/b: test rows of split a, training seed b" if any(t.how == "rows" for t in shown) else None
    table = Table(title=title, title_justify="left", caption=caption, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("task", "method", "metric", "first → second", "change, 95 %", "p", "verdict"):
        table.add_column(name, overflow="fold")
    for test in sorted(shown, key=lambda test: order[test.verdict]):
        table.add_row(*_cells(test))
    console.print(table)


def _cells(test: MetricChange) -> list[str | Text]:
    from reports.format import interval_text, signed, value_text
    from reports.names import metric_symbol

    interval = test.interval
    over = {
        "paired": f"{interval.n} splits", "unpaired": f"{interval.n} splits, not paired", "pooled": "",
        "rows": f"rows of {test.split}/{test.seed}",
    }[test.how]  # fmt: skip
    where = [test.task, "sensitive dropped" if test.use_sensitive == "drop" else "", over]
    verdict = styled(test.verdict, {"worse": "bold red", "better": "bold green"}.get(test.verdict, ""))
    p = "–" if math.isnan(test.p_holm) else "<.001" if test.p_holm < 0.001 else f"{test.p_holm:.3f}"
    change = f"{signed(interval.mean)} {interval_text(interval.low, interval.high, 3)}".strip()
    values = f"{value_text(test.first, 3)} → {value_text(test.second, 3)}"
    return [", ".join(filter(None, where)), test.method, metric_symbol(test.metric), values, change, p, verdict]
