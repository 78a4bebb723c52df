"""``fairmoe list``: what is installed."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.commands.registry.opened import mark_of, open_registry
from foundation.console import plain_console


def list_experts(
    json: Annotated[bool, typer.Option("--json", help="As JSON, for machines.")] = False,
) -> None:
    """List the installed experts: version, whether they are trusted, and why they are here.

    Example: fairmoe list
    """
    registry = open_registry()
    state = registry.state
    if json:
        from json import dumps

        records = [state.installed[name].as_json() for name in sorted(state.installed)]
        typer.echo(dumps(records, indent=2, sort_keys=True))
        return
    if not state.installed:
        typer.echo("No expert is installed. Next: fairmoe install FILE, or fairmoe index add NAME URL.")
        return
    from rich.table import Table

    table = Table(title="installed experts", caption="Details: fairmoe info NAME")
    for title in ("name", "version", "trusted", "from", "here because"):
        table.add_column(title, overflow="fold")
    for name, record in sorted(state.installed.items()):
        because = f"asked: {record.asked}" if record.asked else f"required by {', '.join(state.requiring(name))}"
        table.add_row(name, record.version, mark_of(record), record.index or "a file", because)
    plain_console().print(table)
