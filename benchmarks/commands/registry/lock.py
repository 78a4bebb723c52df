"""``fairmoe lock``: what is installed, byte for byte, for another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.registry.opened import open_registry


def lock(
    output: Annotated[Path, typer.Option(help="The file to write.")] = Path("fairmoe.lock"),
    files: Annotated[
        bool, typer.Option("--files", help="Also write the experts beside it: nothing else is needed elsewhere.")
    ] = False,
) -> None:
    """Write down which experts are installed, with their hashes; 'fairmoe install --locked' installs the same bytes.

    Without --files the bytes are taken from an index, or from where they were: a file, a folder, a commit in Git.

    Examples: fairmoe lock · fairmoe lock --files --output bundle/fairmoe.lock
    """
    from artefacts.registry.lockfile import write_lock

    registry = open_registry()
    state = registry.state
    output.parent.mkdir(parents=True, exist_ok=True)
    for path in registry.write_files(output.parent) if files else ():
        typer.echo(f"written: {path}")
    write_lock(state, output)
    typer.echo(f"{output} has {len(state.installed)} experts. Elsewhere: fairmoe install --locked {output}")
