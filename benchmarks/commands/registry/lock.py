"""``fairmoe lock``: what is installed, byte for byte, for another machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands.registry.opened import open_registry


def lock(
    output: Annotated[Path, typer.Option(help="The file to write.")] = Path("fairmoe.lock"),
) -> None:
    """Write down which experts are installed, with their hashes; 'fairmoe install --locked' installs the same bytes.

    Example: fairmoe lock --output fairmoe.lock
    """
    from artefacts.registry.lockfile import write_lock

    state = open_registry().state
    write_lock(state, output)
    typer.echo(f"{output} has {len(state.installed)} experts. Elsewhere: fairmoe install --locked {output}")
