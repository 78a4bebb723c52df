"""``fairmoe llm dataset generate``: items of a family of tasks as a file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foundation.console import plain_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_experts.data.example import Example
    from llm_experts.families.family import Family, Part


def generate(
    family: Annotated[str, typer.Option(help="Family of tasks, see fairmoe llm families.")],
    part: Annotated[str, typer.Option(help="train, validation or test; no item is in two of them.")] = "train",
    count: Annotated[int, typer.Option(min=1, help="How many items.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the items.")] = 0,
    difficulty: Annotated[
        float | None, typer.Option(min=0, max=1, help="From 0 (easiest) to 1 (hardest); default: a mix of all.")
    ] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Also a wrong answer to each, verified by the checker, to prefer against.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="File to write (.gz packs it); default: FAMILY-PART.jsonl.")
    ] = None,
) -> None:
    """Write items of a family as JSON lines: prompt, answer, and what its checker needs.

    The same options write the same bytes on every machine.

    Examples: fairmoe llm dataset generate --family arithmetic --count 5000 --output d.jsonl ·
    fairmoe llm dataset generate --family sql --part validation --count 200 · fairmoe llm dataset generate --family
    strings --difficulty 0.3 --pairs · fairmoe llm dataset generate --family rows:compas:race
    """
    from llm_experts.data.error import DataError
    from llm_experts.data.reading import write_examples
    from llm_experts.families.registry import family_named

    console = plain_console()
    chosen = family_named(family)
    if family.partition(":")[0] == "rows" and part == "test":
        raise DataError(
            "Labels of test rows are not written to files: they are for the final score alone. Examine an expert on "
            "them with fairmoe llm evaluate; parts to write are train and validation."
        )
    name = f"{family.replace(':', '-')}-{part}{'-pairs' if pairs else ''}.jsonl"
    where = output or Path(name)
    with console.status(f"making {count:,} items of {family}"):
        examples = chosen.make(_part(part), count, seed, difficulty)
        made = _with_rejected(chosen, examples, seed) if pairs else examples
        if not made:
            raise DataError(f"{family} has no items of the part {part}.")
        write_examples(where, made)
    if len(made) < count:
        console.print(f"{family} has only {len(made):,} items of the part {part}.", soft_wrap=True, highlight=False)
    _show(made[0], console.width)
    where_said = shlex.quote(str(where))
    typer.echo(f"{where}: {len(made):,} items of {family}, part {part}, seed {seed}.")
    typer.echo(f"Next: fairmoe llm dataset stats {where_said}, or\n  {_next(where_said, part, pairs)}")


def _part(part: str) -> Part:
    from typing import cast, get_args

    from llm_experts.families.family import Part

    if part not in get_args(Part):
        raise typer.BadParameter(f"There is no part {part!r}; parts are {', '.join(get_args(Part))}.")
    return cast(Part, part)


def _with_rejected(family: Family, examples: Sequence[Example], seed: int) -> list[Example]:
    from llm_experts.families.wrong import with_rejected

    return [with_rejected(family, example, seed) for example in examples]


def _show(example: Example, width: int) -> None:
    """The first item, each text on one line."""
    from benchmarks.commands.llm.showing import clipped

    for name in ("prompt", "completion", "rejected"):
        value = getattr(example, name)
        if value:
            typer.echo(f"  {name + ':':<12}{clipped(str(value), width - 14)}")


def _next(where: str, part: str, pairs: bool) -> str:
    """What the part is for: items that examine are not learnt."""
    if part != "train":
        verb = "validate" if part == "validation" else "evaluate"
        return f"fairmoe llm {verb} EXPERT --data {where}"
    return f"fairmoe llm train --data {where} --method {'dpo' if pairs else 'sft'}"
