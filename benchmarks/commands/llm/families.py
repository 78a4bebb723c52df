"""``fairmoe llm families``: the families of tasks that there are, each with an item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.commands.llm.showing import clipped
from foundation.console import plain_console

if TYPE_CHECKING:
    from llm_experts.families.family import Family


def families(
    family: Annotated[list[str] | None, typer.Argument(help="Only these; default: all.")] = None,
    difficulty: Annotated[
        float, typer.Option(min=0, max=1, help="Of the items shown, from 0 (easiest) to 1 (hardest).")
    ] = 0.3,
    items: Annotated[int, typer.Option(min=1, help="Items shown of each.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the items shown.")] = 0,
) -> None:
    """List the families of tasks, each with an item and its answer.

    Generated families have items of any number; published ones are read from their files, and are only shown as named
    here unless you ask for one.

    Examples: fairmoe llm families · fairmoe llm families sql --difficulty 1 --items 3
    """
    from llm_experts.families.registry import FAMILIES, family_named

    width = plain_console().width
    for name in family or FAMILIES:
        found = family_named(name)
        typer.echo(f"{found.name}: {found.about}")
        if family or not found.published:
            _show(found, items, seed, difficulty, width)
    typer.echo("Next: fairmoe llm dataset generate --family NAME --count 2000 --output d.jsonl")


def _show(family: Family, items: int, seed: int, difficulty: float, width: int) -> None:
    for example in family.make("train", items, seed, difficulty):
        prompt = example.prompt if isinstance(example.prompt, str) else example.prompt[-1].content
        typer.echo(f"  asked:    {clipped(prompt, width - 12)}")
        typer.echo(f"  answer:   {clipped(example.completion or '(only its checker knows)', width - 12)}")
