"""``fairmoe splits``: which rows of a task are for training, for choosing and for the final score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.commands.options import Protocol, Split, SplitSeed, TaskName
from foundation.console import plain_console

if TYPE_CHECKING:
    import pandas as pd

    from tasks.task import Task

PARTS = ("train", "validation", "test")


class SplitOptionError(ValueError):
    """Options that ask for what there is not, or for what must not be shown."""


def splits(
    task: TaskName,
    protocol: Protocol = "robust",
    split: Split = 0,
    part: Annotated[
        list[str] | None, typer.Option(help="Only this part: train, validation or test (repeat the option).")
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="Also the labels of training and validation rows; never of test rows.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Write row, part and group of every row to this CSV (.gz packs it).")
    ] = None,
    seed: SplitSeed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print counts and rows as JSON instead of a table.")] = False,
) -> None:
    """List the rows of each part of a task: 0-based row of the published file, part and group.

    Rows that no part holds are not listed: those without a label, in no group, or left over by large_test.

    Examples: fairmoe splits --task german · fairmoe splits --task adult:sex --split 3 --part train --part validation
    --labels --output adult-3.csv
    """
    from tasks.load import load_task

    wanted = _wanted(part, labels)
    loaded = load_task(task, protocol=protocol, split=split, seed=seed)
    rows = _rows(loaded, wanted, labels)
    if output is not None:
        from foundation.files import atomic_path

        with atomic_path(output) as temporary:
            rows.to_csv(temporary, index=False, compression="gzip" if output.suffix == ".gz" else None)
    if as_json:
        _print_json(loaded, rows, wanted)
        return
    _print_counts(loaded, wanted)
    if output is None:
        typer.echo("The rows themselves: --output rows.csv, or --json.")
    else:
        typer.echo(f"{output}: {len(rows):,} rows.")
        where = f"--task {task} --protocol {protocol} --split {split}"
        where += f" --seed {seed}" if seed else ""
        typer.echo(f"Next: predict the test rows, then\n  fairmoe score {where} --predictions FILE")


def _wanted(part: list[str] | None, labels: bool) -> tuple[str, ...]:
    wanted = tuple(name for name in PARTS if name in part) if part else PARTS
    if unknown := [name for name in part or () if name not in PARTS]:
        raise SplitOptionError(f"There is no part {unknown[0]!r}; parts are {', '.join(PARTS)}.")
    if labels and wanted == ("test",):
        raise SplitOptionError(
            "Labels of test rows are not given: they are for the final score alone. 'fairmoe score' scores predictions "
            "of these rows; --labels shows the labels of training and validation rows."
        )
    return wanted


def _rows(task: Task, wanted: tuple[str, ...], labels: bool) -> pd.DataFrame:
    """Row number, part, group and, where asked for, label; labels of test rows are empty."""
    import pandas as pd

    frames = []
    for name in wanted:
        rows = getattr(task.split, name)
        groups = [task.group_names[group] for group in task.groups[rows].tolist()]
        frame = pd.DataFrame({"row": task.rows[rows].numpy(), "part": name, "group": groups})
        if labels:
            known = task.labels[rows].tolist() if name != "test" else [None] * len(rows)
            frame["label"] = pd.array(known, dtype="Int64")
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _counts(task: Task, name: str) -> dict[str, dict[str, int]]:
    """Rows of each group in a part by label: sizes of cells are no labels of rows."""
    from metrics.counts.tables import cell_totals

    rows = getattr(task.split, name)
    totals = cell_totals(task.labels[rows], task.groups[rows], len(task.group_names)).tolist()
    return {
        group: {"rows": int(sum(cells)), "class 0": int(cells[0]), "class 1": int(cells[1])}
        for group, cells in zip(task.group_names, totals, strict=True)
    }


def _print_json(task: Task, rows: pd.DataFrame, wanted: tuple[str, ...]) -> None:
    import json

    facts: dict[str, Any] = {
        "task": task.name, "task_hash": task.hash, "protocol": task.split.protocol, "split": task.split.index,
        "seed": task.split.seed, "split_hash": task.split.hash, "left": dict(task.left),
        "counts": {name: _counts(task, name) for name in wanted},
        "rows": json.loads(rows.to_json(orient="records")),
    }  # fmt: skip
    typer.echo(json.dumps(facts, indent=2))


def _print_counts(task: Task, wanted: tuple[str, ...]) -> None:
    from rich.table import Table
    from rich.text import Text

    split = task.split
    console = plain_console()
    table = Table(title=Text(f"{task.name} · {split.protocol} split {split.index}"))
    table.add_column("part")
    table.add_column("group", overflow="fold")
    for name in ("rows", "class 0", "class 1", "share of class 1"):
        table.add_column(name, justify="right")
    for name in wanted:
        for group, cells in _counts(task, name).items():
            share = f"{cells['class 1'] / cells['rows']:.1%}" if cells["rows"] else "–"
            sizes = (f"{cells[key]:,}" for key in ("rows", "class 0", "class 1"))
            table.add_row(name, Text(group), *sizes, share)
        table.add_section()
    console.print(table)
    for reason, count in task.left.items():
        console.print(Text(f"{count:,} rows left the task: {reason}"))
    console.print(f"split hash {split.hash}", soft_wrap=True, highlight=False)
