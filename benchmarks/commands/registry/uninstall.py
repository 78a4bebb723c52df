"""``fairmoe uninstall``: an expert, and what was only there for it."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.commands.registry.opened import open_registry, tell


def uninstall(names: Annotated[list[str], typer.Argument(help="Installed experts.")]) -> None:
    """Remove experts, and those that were installed only because they require them.

    An expert that another one requires stays, and the command says which.

    Example: fairmoe uninstall german-net
    """
    registry = open_registry()
    tell(registry.uninstall(names), registry)
