"""``fairmoe info``: what an installed expert says of itself, and whether its bytes are still those."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.commands.registry.opened import mark_of, open_registry
from foundation.console import plain_console

if TYPE_CHECKING:
    from artefacts.format.manifest import Fairness, Manifest
    from artefacts.registry.record import Record


def info(name: Annotated[str, typer.Argument(help="An installed expert.")]) -> None:
    """Describe an installed expert, with its measured fairness; all its bytes are hashed again first.

    Example: fairmoe info german-net
    """
    registry = open_registry()
    record, tree = registry.checked(name)
    manifest = tree.manifest
    console = plain_console()
    for what, value in _facts(record, manifest).items():
        if value:
            console.print(f"{what + ':':<14}{value}", soft_wrap=True, highlight=False)
    if others := registry.state.requiring(name):
        console.print(f"{'required by:':<14}{', '.join(others)}", soft_wrap=True, highlight=False)
    console.print(f"{'folder:':<14}{tree.folder}", soft_wrap=True, highlight=False)
    if manifest.fairness is not None:
        _show(manifest.fairness)


def _facts(record: Record, manifest: Manifest) -> dict[str, str]:
    base = manifest.base
    return {
        "name": f"{record.name} {record.version} ({manifest.kind})",
        "description": manifest.description,
        "author": manifest.author,
        "licence": manifest.licence,
        "trusted": mark_of(record),
        "key": record.key,
        "from": f"{record.index}: {record.location}" if record.index else record.location,
        "sha256": record.package,
        "size": f"{record.bytes:,} bytes, checked now",
        "base": f"{base.name}, weights {base.sha256[:16]}…" if base is not None else "",
        "requires": ", ".join(f"{other} {text}" for other, text in sorted(record.needs.requires.items())),
        "not beside": ", ".join(f"{other} {text}" for other, text in sorted(record.needs.incompatible.items())),
    }


def _show(fairness: Fairness) -> None:
    from rich.table import Table

    title = f"measured on {fairness.rows or '?'} test rows ({fairness.suite}, {fairness.task or 'no task'})"
    table = Table(title=title, title_justify="left")
    for column in ("metric", "estimate", "low", "high", "null"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for metric, found in sorted(fairness.metrics.items()):
        numbers = (found.estimate, found.low, found.high, found.null_p95)
        table.add_row(metric, *("–" if number is None else f"{number:.3f}" for number in numbers))
    plain_console().print(table)
