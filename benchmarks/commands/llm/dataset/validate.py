"""``fairmoe llm dataset validate``: whether experts can learn from a file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.commands.llm.dataset.checked import CheckNames, checked, show_checked
from benchmarks.commands.llm.dataset.opened import NEEDS, doubts, opened, unknown_families
from benchmarks.commands.llm.options import BaseName, Style
from benchmarks.commands.llm.showing import clipped
from foundation.console import plain_console

if TYPE_CHECKING:
    from rich.console import Console

    from llm_experts.data.example import Example

SHOWN = 10


def validate(
    file: Annotated[Path, typer.Argument(help="JSON lines (.jsonl or .jsonl.gz).")],
    need: Annotated[
        str,
        typer.Option(help="What is needed: completion (sft), pair (dpo), prompt (rl), text; auto: by its keys."),
    ] = "auto",
    base: BaseName = "nano",
    max_length: Annotated[int, typer.Option(min=2, help="Most tokens of an item, prompt and answer.")] = 512,
    style: Style = "auto",
    against: Annotated[
        list[Path] | None,
        typer.Option(help="A file that this one must not share prompts with, such as a test set; may be repeated."),
    ] = None,
    checks: CheckNames = "none",
) -> None:
    """Check a file of items: format, answers, duplicates, lengths, and what it shares with other files.

    Of a malformed file the first fault is named: line, field and remedy. Items that say which family they are of are
    judged by its checker; a family that is not there is told, and judges nothing. The exit code is 1 if anything is
    wrong.

    With --checks the items are examined as generated ones are: what each check rejects and why, questions that were
    asked before in other words, what is accepted against the 75 % that are wanted, and whether the base finds the set
    hard enough to learn from and easy enough to learn at all. The exit code is then 1 if fewer are accepted.

    Examples: fairmoe llm dataset validate d.jsonl · fairmoe llm dataset validate pairs.jsonl --need pair --base
    Qwen/Qwen3-0.6B · fairmoe llm dataset validate train.jsonl --against test.jsonl · fairmoe llm dataset validate
    d.jsonl --checks answer,clarity · fairmoe llm dataset validate d.jsonl --checks all --base nano --against test.jsonl
    """
    if need not in NEEDS:
        raise typer.BadParameter(f"There is no need {need!r}; needs are {', '.join(NEEDS)}.")
    console = plain_console()
    examples = opened(file, need)
    others = {str(path): opened(path) for path in against or ()}
    for sentence in unknown_families(examples):
        console.print(f"warning: {sentence}", markup=False, highlight=False)
    if checks != "none":
        _examined(file, examples, checks, base, others, console)
    with console.status(f"checking {len(examples):,} items"):
        found = ([] if checks != "none" else doubts(examples)) + _too_long(examples, base, max_length, style)
        for name, other in others.items() if checks == "none" else ():
            found += _shared(other, examples, name)
    for sentence in found[:SHOWN]:
        typer.echo(clipped(sentence, console.width))
    if len(found) > SHOWN:
        typer.echo(f"… and {len(found) - SHOWN:,} more.")
    if found:
        typer.echo(f"{file}: {len(found):,} faults in {len(examples):,} items. Mend or leave out these items.")
        raise typer.Exit(1)
    if checks == "none":
        typer.echo(f"{file}: {len(examples):,} items, nothing wrong.")
    typer.echo(f"Next: fairmoe llm train --data {shlex.quote(str(file))}")


def _examined(
    file: Path,
    examples: list[Example],
    checks: str,
    base: str,
    others: dict[str, list[Example]],
    console: Console,
) -> None:
    found = checked(examples, checks, base, others, console)
    if not show_checked(found, examples, console):
        typer.echo(f"{file}: too few items are accepted. Leave the rejected ones out, or make others.")
        raise typer.Exit(1)


def _too_long(examples: list[Example], base: str, max_length: int, style: str) -> list[str]:
    from typing import cast

    from llm_experts.bases.load import load_base
    from llm_experts.data.encoding import AnswerTooLongError, Style, encode

    loaded, found = load_base(base), []
    for example in examples:
        for completion in filter(None, (example.completion, example.rejected)):
            try:
                made = encode(example, loaded, max_length=max_length, style=cast(Style, style), completion=completion)
            except AnswerTooLongError as error:
                found.append(str(error))
                continue
            if made.cut:
                found.append(f"{example.id}: {made.cut} tokens of its prompt do not fit into {max_length}")
    return found


def _shared(other: list[Example], examples: list[Example], name: str) -> list[str]:
    from llm_experts.data.overlap import overlap

    return [f"{item}: its prompt is also in {name}" for item in overlap(other, examples).same_prompts]
