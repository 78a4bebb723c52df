"""``fairmoe merge``: output folders of one suite put together."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foundation.console import plain_console, styled

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.merging.merge import Checked


def merge(
    folders: Annotated[list[Path], typer.Argument(help="Output folders of 'fairmoe bench' with the same suite.")],
    output: Annotated[Path, typer.Option(help="Folder of the merged run; it must be new, or of the same merge.")],
    partial: Annotated[bool, typer.Option("--partial", help="Shards, jobs and cells may be missing.")] = False,
    allow_different: Annotated[
        bool, typer.Option("--allow-different", help="Code, libraries and machine may differ; the pages then say so.")
    ] = False,
) -> None:
    """Put the shares of a suite, computed by 'fairmoe bench --shard', into one folder with tables and pages.

    Checked first, before anything is written: the same suite, data, code and environment; every file of every cell
    is as it was written; a cell that is in several folders says the same in each; no shard is missing. A whole suite
    gives the same results.csv, byte for byte, as one run. The folders stay as they are, and their order does not
    matter. Interrupt it at any time: the same command goes on.

    Example: fairmoe merge results/full-shard-*-of-20 --output results/full

    Example: fairmoe merge host1/quick host2/quick --output results/both --partial
    """
    import os

    from benchmarks.merging.merge import check, write, write_tables
    from foundation.folder_lock import folder_lock
    from foundation.progress import counted_bars

    console = plain_console()
    with ExitStack() as stack:
        for folder in dict.fromkeys(path.resolve() for path in folders):
            if folder.is_dir() and os.access(folder, os.W_OK):  # one that cannot be written is in nobody's use
                stack.enter_context(folder_lock(folder, "fairmoe merge"))
        tell = stack.enter_context(counted_bars(console)).tell
        found = check(folders, output, partial=partial, allow_different=allow_different, tell=tell)
        stack.enter_context(folder_lock(output, "fairmoe merge"))
        write(found, output, tell)
        summary = write_tables(found, output)
    _show(found, console)
    for page in summary.pages:
        if page.parent == output:
            console.print(f"written: {page}", soft_wrap=True)
    console.print(f"Send it to MLflow with: fairmoe track sync {output}", soft_wrap=True, highlight=False)
    if not summary.ok:
        raise typer.Exit(1)


def _show(found: Checked, console: Console) -> None:
    """What was merged and what it lacks, in one line each."""
    from foundation.words import plural
    from reports.render.part_words import part_words

    have = found.coverage
    console.print(
        f"{have.suite.name}: {plural(len(found.inputs), 'folder')}, {plural(len(have.held), 'job')}, "
        f"{plural(len(found.cells), 'cell')}.",
        highlight=False,
    )
    for word, count, what in (
        ("MISSING", len(have.absent), "job"), ("MISSING", len(have.unfinished), "unfinished cell"),
        ("FAILED", len(have.failures), "cell"),
    ):  # fmt: skip
        if count:
            console.print(styled(word, "bold yellow", f" {plural(count, what)}; the pages name them."))
    for what, why in part_words({"different": found.different}):
        console.print(styled("DIFFERENT", "bold yellow", f" {what}: {why}"), soft_wrap=True)
    if found.other_code:
        console.print(
            styled(
                "NOTE", "bold yellow",
                " the cells were computed by other code than this version's; tables and pages are this version's.",
            ),
            soft_wrap=True,
        )  # fmt: skip
    for gap in have.unavailable:
        console.print(styled("UNAVAILABLE", "bold red", f" {gap['task']}: {gap['reason']}"), soft_wrap=True)
