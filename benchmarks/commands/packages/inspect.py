"""``fairmoe inspect``: what a package says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from artefacts.format.manifest import Fairness, Manifest


def inspect(
    package: Annotated[Path, typer.Argument(help="The .expert file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON instead.")] = False,
) -> None:
    """Show what a package says of itself: kind, author, inputs, how it was made, how fair it was measured, its files.

    Nothing is installed or run, and contents are not checked: fairmoe verify does that.

    Example: fairmoe inspect german-mlp.expert
    """
    import json

    from artefacts.format.archive import open_package
    from artefacts.trust.store import TrustStore
    from foundation.console import plain_console
    from foundation.home import home

    with open_package(package) as opened:
        manifest = opened.manifest
        if as_json:
            typer.echo(json.dumps(json.loads(manifest.canonical()), indent=2, ensure_ascii=False))
            return
        verdict = TrustStore(home()).judge(opened)
        console = plain_console(soft_wrap=True)
        for name, text in (*_facts(manifest), ("content", opened.content), ("signatures", verdict.text)):
            console.print(f"{name:<13}{text}")
    console = plain_console()
    if manifest.fairness is not None:
        console.print(_measured(manifest.fairness))
        if manifest.fairness.note:
            console.print(manifest.fairness.note)
    console.print(_files(manifest))
    console.print(f"Next: fairmoe verify {package}", soft_wrap=True)


def _facts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield "package", f"{manifest.name} {manifest.version} ({manifest.kind})"
    yield "author", manifest.author
    yield "licence", manifest.licence
    yield "description", manifest.description
    if manifest.base is not None:
        yield "base", f"{manifest.base.name} ({manifest.base.sha256[:12]}...)"
    for adapter in manifest.adapters:
        yield "adapter", f"{adapter.type}, rank {adapter.rank}, {adapter.path}"
    for member in manifest.members:
        yield "member", f"{member.name} {member.version} ({member.content[:12]}...)"
    for name, versions in manifest.constraints.requires.items():
        yield "requires", f"{name} {versions}"
    for name, versions in manifest.constraints.incompatible_with.items():
        yield "not with", f"{name} {versions}"
    if manifest.inputs is not None:
        told = ", ".join(column.name for column in manifest.inputs.columns)
        yield "columns", told or "none named"
        yield "needs group", "yes, of every row" if manifest.inputs.needs_group else "no"
    if scope := manifest.provenance.params.get("scope"):
        yield "scope", f"{scope}: adapters act on the question behind a row alone"
    made = manifest.provenance.model_dump(exclude_defaults=True)
    for name in ("task", "method", "variant", "split", "seed", "command"):
        if name in made:
            yield name, str(made[name])


def _measured(fairness: Fairness) -> Table:
    from rich.table import Table

    sizes = ", ".join(f"{name} {size.positive + size.negative:,}" for name, size in fairness.groups.items())
    title = f"measured on test rows of {fairness.task or 'its task'}, suite {fairness.suite}"
    table = Table(title=title, caption=sizes or None)
    table.add_column("metric")
    for title in ("estimate", "interval", "null 95%"):
        table.add_column(title, justify="right")
    table.add_column("status")
    for name, value in fairness.metrics.items():
        interval = f"{_number(value.low)} to {_number(value.high)}" if value.low is not None else ""
        table.add_row(name, _number(value.estimate), interval, _number(value.null_p95), value.status)
    for named, metrics in fairness.bias.items():
        for name, value in metrics.items():
            interval = f"{_number(value.low)} to {_number(value.high)}" if value.low is not None else ""
            table.add_row(f"{named} {name}", _number(value.estimate), interval, "", value.status)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _files(manifest: Manifest) -> Table:
    from rich.table import Table

    table = Table(title="files")
    table.add_column("name")
    table.add_column("bytes", justify="right")
    table.add_column("numbers", justify="right")
    table.add_column("sha256")
    for name, file in manifest.files.items():
        numbers = ", ".join(f"{count:,} {dtype}" for dtype, count in (file.tensors or {}).items())
        table.add_row(name, f"{file.bytes:,}", numbers, f"{file.sha256[:12]}...")
    return table
