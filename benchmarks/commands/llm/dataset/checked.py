"""The checks of generated items on a file: what each rejects and why, what is accepted, and how hard it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.commands.llm.showing import clipped, steps_shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from llm_experts.data.example import Example
    from llm_experts.generation.set_findings import SetFindings
    from llm_experts.generation.zone import Zone

SHOWN = 3
"""Items that are shown of each check."""
NEARLY = "nearly the same question as "
CheckNames = Annotated[
    str,
    typer.Option(
        "--checks",
        help="Checks of generated items, with commas between: answer, clarity, contamination, alignment, difficulty "
        "(the last two ask the base); all, or none.",
    ),
]


def checked(
    examples: Sequence[Example], names: str, base: str, protected: Mapping[str, Sequence[Example]], console: Console
) -> SetFindings:
    """Ask checks of the items of a file.

    Raises
    ------
    DataError
        If there is no check of a name.
    """
    from llm_experts.generation.checks.registry import checks_named
    from llm_experts.generation.context import Context
    from llm_experts.generation.set_findings import examine_set

    checks = checks_named([name.strip() for name in names.split(",")])
    loaded = None
    if any(check.needs_model for check in checks):
        from llm_experts.bases.load import load_base

        loaded = load_base(base)
    context = Context(loaded, protected={Path(name).name: of for name, of in protected.items()})
    with steps_shown("checking items", console) as report:
        return examine_set(examples, context, checks, progress=report)


def show_checked(found: SetFindings, examples: Sequence[Example], console: Console) -> bool:
    """Print the table of checks, rejected items, near duplicates, acceptance and zone; whether enough are accepted."""
    from rich.table import Table

    from llm_experts.generation.spec import ACCEPTANCE

    table = Table(title="checks")
    for column in ("check", "asked", "rejected", "share", "95 %"):
        table.add_column(column, justify="left" if column == "check" else "right")
    for count in found.counts:
        if count.asked and count.low is not None and count.high is not None:
            share, interval = f"{count.failed / count.asked:.1%}", f"{count.low:.1%} to {count.high:.1%}"
        else:
            share = interval = "–"
        table.add_row(count.name, f"{count.asked:,}", f"{count.failed:,}", share, interval)
    console.print(table)
    for count in found.counts:
        _show_rejected(count.name, found, console.width)
    _show_near(found, examples, console.width)
    enough = found.acceptance >= ACCEPTANCE
    typer.echo(
        f"Accepted: {found.accepted:,} of {len(found.ids):,} ({found.acceptance:.1%}, 95 % {found.low:.1%} to "
        f"{found.high:.1%});\n  at least {ACCEPTANCE:.0%} are wanted: {'as wanted' if enough else 'too few'}."
    )
    if found.zone.mean is not None:
        typer.echo(_zone_said(found.zone))
    return enough


def _show_rejected(check: str, found: SetFindings, width: int) -> None:
    rejected = found.rejected(check)
    for name, reason in rejected[:SHOWN]:
        typer.echo(clipped(f"{check}: {name}: {reason}", width))
    if len(rejected) > SHOWN:
        typer.echo(f"  … and {len(rejected) - SHOWN:,} more of {check}.")


def _show_near(found: SetFindings, examples: Sequence[Example], width: int) -> None:
    """Prompts of items that ask nearly the same, one below the other."""
    by_id = {example.id: str(example.prompt) for example in examples}
    near = [(name, why.removeprefix(NEARLY)) for name, why in found.rejected("clarity") if why.startswith(NEARLY)]
    for name, first in near[:SHOWN]:
        typer.echo(clipped(f"  {first}: {by_id.get(first, '')}", width))
        typer.echo(clipped(f"  {name}: {by_id.get(name, '')}", width))


def _zone_said(zone: Zone) -> str:
    from llm_experts.generation.zone import ZONE

    interval = "" if zone.low is None or zone.high is None else f" (95 % {zone.low:.2f} to {zone.high:.2f})"
    said = "inside" if zone.inside else "outside"
    return f"Mean probability of a right answer: {zone.mean:.2f}{interval}, {said} {ZONE[0]:.2f} to {ZONE[1]:.2f}."
