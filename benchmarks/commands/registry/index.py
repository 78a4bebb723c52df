"""``fairmoe index``: where names of experts are looked up."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.commands.registry.opened import OFFLINE, open_registry, watched_registry
from foundation.console import plain_console

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "Say where names of experts are looked up: folders or Git repositories that 'fairmoe publish' fills.\n\n"
        "A name is taken from the first index that has it, by priority, and from no other."
    ),
)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What you call it.")],
    url: Annotated[str, typer.Argument(help="A folder, git+file:///path[@ref] or git+https://host/path[@ref].")],
    priority: Annotated[int, typer.Option(help="Larger is asked first.")] = 0,
    offline: OFFLINE = False,
) -> None:
    """Add an index after reading it once; an index of that name is replaced.

    Example: fairmoe index add team git+https://host/experts.git@main --priority 10
    """
    from pathlib import Path

    from artefacts.registry.indexes import Source

    address = url if url.startswith("git+") else str(Path(url).resolve())
    with watched_registry() as registry:
        index = registry.indexes.add(Source(name, address, priority), offline=offline)
    count = sum(1 for _ in index.names())
    typer.echo(f"{name} has {count:,} {'name' if count == 1 else 'names'}. Next: fairmoe install NAME")


@app.command("list")
def list_indexes() -> None:
    """List the indexes, the first asked first.

    Example: fairmoe index list
    """
    sources = open_registry().indexes.sources()
    if not sources:
        typer.echo("There is no index. Next: fairmoe index add NAME URL")
        return
    from rich.table import Table

    table = Table(title="indexes")
    for title in ("name", "priority", "address"):
        table.add_column(title, overflow="fold")
    for source in sources:
        table.add_row(source.name, str(source.priority), source.url)
    plain_console().print(table)


@app.command()
def remove(name: Annotated[str, typer.Argument(help="An index of 'fairmoe index list'.")]) -> None:
    """Forget an index; what was installed from it stays.

    Example: fairmoe index remove team
    """
    source = open_registry().indexes.remove(name)
    typer.echo(f"{source.name} ({source.url}) is forgotten; what came from it stays installed.")
