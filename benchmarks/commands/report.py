"""``fairmoe report``: the leaderboard of a finished run, written again from its tables."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer


def report(
    folder: Annotated[Path, typer.Argument(help="Output folder of a bench run, such as results/quick.")] = Path(
        "results/default"
    ),
) -> None:
    """Write leaderboard.md and leaderboard.html from the result tables of a run; nothing is trained.

    Example: fairmoe report results/quick
    """
    from benchmarks.commands.next_step import choose_hint
    from foundation.folder_lock import folder_lock
    from reports.build import write_report

    with folder_lock(folder, "fairmoe report") if folder.is_dir() else nullcontext():
        pages = write_report(folder)
    for page in pages:
        if page.parent == folder:
            typer.echo(f"written: {page}")
    typer.echo(f"tables as CSV and LaTeX: {folder / 'tables'}")
    typer.echo(choose_hint(folder))
    typer.echo("Open leaderboard.html in a browser; it needs no network. Browse every run with: fairmoe ui")
