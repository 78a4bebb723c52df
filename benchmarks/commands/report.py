"""``fairmoe report``: the leaderboard of a finished run, written again from its tables."""

from __future__ import annotations

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
    from reports.build import write_report

    for page in write_report(folder):
        if page.parent == folder:
            typer.echo(f"written: {page}")
    typer.echo(f"tables as CSV and LaTeX: {folder / 'tables'}")
    typer.echo("Open leaderboard.html in a browser; it needs no network. Browse every run with: fairmoe ui")
