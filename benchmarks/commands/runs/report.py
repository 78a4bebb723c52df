"""``fairmoe report``: the page of a finished run, written again from its tables or result files."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer


def report(
    folder: Annotated[
        Path, typer.Argument(help="Output folder of a bench run, such as results/quick, or of a discovery.")
    ] = Path("results/default"),
) -> None:
    """Write leaderboard.md and leaderboard.html from the result tables of a run; nothing is trained.

    The folder of a discovery gets discovery.html, whichever of its steps are done.

    Example: fairmoe report results/quick
    Example: fairmoe report results/discover/first
    """
    from benchmarks.commands.runs.next_step import choose_hint
    from foundation.folder_lock import folder_lock
    from reports.build import write_report
    from reports.discovery.page import is_discovery, write_page

    if is_discovery(folder):
        typer.echo(f"written: {write_page(folder)}")
        typer.echo(
            "Open it in a browser; it needs no network. Send it to MLflow with: fairmoe track discovery " + str(folder)
        )
        return
    with folder_lock(folder, "fairmoe report") if folder.is_dir() else nullcontext():
        pages = write_report(folder)
    for page in pages:
        if page.parent == folder:
            typer.echo(f"written: {page}")
    typer.echo(f"tables as CSV and LaTeX: {folder / 'tables'}")
    if hint := choose_hint(folder):
        typer.echo(hint)
    typer.echo("Open leaderboard.html in a browser; it needs no network. Browse every run with: fairmoe ui")
