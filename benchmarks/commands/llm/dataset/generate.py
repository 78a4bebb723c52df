"""``fairmoe llm dataset generate``: items of a family of tasks as a file, or those of a spec as a folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.commands.llm.dataset.by_spec import OWN_CHECKS, Asked, make_by_spec
from benchmarks.commands.llm.showing import steps_shown
from foundation.console import plain_console
from llm_experts.generation.limits import MOST_ITEMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from llm_experts.data.example import Example
    from llm_experts.families.family import Family, Part

COUNTED = 1000
"""Items between two figures of the counter."""


def generate(
    family: Annotated[str | None, typer.Option(help="Family of tasks, see fairmoe llm families.")] = None,
    spec: Annotated[
        Path | None, typer.Option(help="Spec (.toml or .json) instead of a family: docs/generating_items.md.")
    ] = None,
    part: Annotated[str, typer.Option(help="train, validation or test; no item is in two of them.")] = "train",
    count: Annotated[int, typer.Option(min=1, max=MOST_ITEMS, help="How many items; more are several files.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the items.")] = 0,
    difficulty: Annotated[
        float | None, typer.Option(min=0, max=1, help="From 0 (easiest) to 1 (hardest); default: a mix of all.")
    ] = None,
    pairs: Annotated[
        bool, typer.Option("--pairs", help="Also a wrong answer to each, verified by the checker, to prefer against.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="File to write (.gz packs it), default: FAMILY-PART.jsonl; of a spec a folder: SPEC-items."),
    ] = None,
    provider: Annotated[str, typer.Option(help="Of a spec's items: template, model or openai.")] = "template",
    base: Annotated[str | None, typer.Option(help="Base that judges a spec's items, and writes for model.")] = None,
    checks: Annotated[
        str, typer.Option(help="Checks of a spec's items: auto (those of a model only with --base), all, none, names.")
    ] = OWN_CHECKS,
    fill: Annotated[
        str, typer.Option(help="none, or nearest: what is missing is filled up with items of another difficulty.")
    ] = "none",
    against: Annotated[
        list[Path] | None, typer.Option(help="File that a spec's items must not touch, such as a test set; repeatable.")
    ] = None,
    budget: Annotated[float | None, typer.Option(help="Most dollars that a spec's items may cost.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Most minutes of this run; another goes on.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="openai: model; of two they take turns.")] = None,
    url: Annotated[list[str] | None, typer.Option(help="openai: address, default: OPENAI_BASE_URL.")] = None,
    price: Annotated[
        list[str] | None, typer.Option(help="openai: dollars for a million tokens read and written: 0.15,0.60.")
    ] = None,
    max_requests: Annotated[
        int | None, typer.Option(min=0, max=10**9, help="openai: most requests of this run.")
    ] = None,
) -> None:
    """Write items as JSON lines: prompt, answer, and what a checker needs.

    With --family a file of a family's items; the same options write the same bytes on every machine. With --spec a
    folder: items of several topics are drafted, checked and taken until there are enough, and a run that was ended goes
    on where it was. The key of an endpoint is read from OPENAI_API_KEY.

    Examples: fairmoe llm dataset generate --family arithmetic --count 5000 --output d.jsonl ·
    fairmoe llm dataset generate --family sql --part validation --count 200 · fairmoe llm dataset generate --family
    strings --difficulty 0.3 --pairs · fairmoe llm dataset generate --family rows:compas:race · fairmoe llm dataset
    generate --spec sums.toml --base nano --fill nearest · fairmoe llm dataset generate --spec sums.toml --provider
    openai --model gpt-4o-mini --price 0.15,0.60 --budget 5
    """
    if (family is None) == (spec is None):
        raise typer.BadParameter("Name one of the two: --family NAME, or --spec FILE.")
    if spec is not None:
        make_by_spec(
            Asked(
                spec=spec, provider=provider, base=base, checks=checks, budget=budget, minutes=minutes,
                models=tuple(model or ()), urls=tuple(url or ()), prices=tuple(price or ()), max_requests=max_requests,
                fill=fill, against=tuple(against or ()), output=output, seed=seed,
            )
        )  # fmt: skip
        return
    assert family is not None
    _of_family(family, part, count, seed, difficulty, pairs, output)


def _of_family(
    family: str, part: str, count: int, seed: int, difficulty: float | None, pairs: bool, output: Path | None
) -> None:
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
    examples = _made(chosen, _part(part), count, seed, difficulty, console)
    with console.status(f"writing {len(examples):,} items of {family}"):
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


def _made(
    family: Family, part: Part, count: int, seed: int, difficulty: float | None, console: Console
) -> Sequence[Example]:
    """A family's items; of a generated one with a counter."""
    from llm_experts.families.shared.generated import Generated

    if not isinstance(family.make, Generated) or count <= COUNTED:
        return family.make(part, count, seed, difficulty)
    made: list[Example] = []
    with steps_shown(f"items of {family.name}", console) as report:
        for example in family.make.walk(part, seed, difficulty):
            made.append(example)
            if len(made) % COUNTED == 0 or len(made) == count:
                report(len(made), count)
            if len(made) == count:
                return made
    return family.make(part, count, seed, difficulty)  # there are not so many: it says so


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
