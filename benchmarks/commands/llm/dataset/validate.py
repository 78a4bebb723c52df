"""``fairmoe llm dataset validate``: whether experts can learn from a file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.commands.llm.dataset.opened import NEEDS, doubts, opened
from benchmarks.commands.llm.options import BaseName
from benchmarks.commands.llm.showing import clipped
from foundation.console import plain_console

if TYPE_CHECKING:
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
    style: Annotated[str, typer.Option(help="How prompts are put: auto, chat, plain or instruct.")] = "auto",
    against: Annotated[
        Path | None, typer.Option(help="A file that this one must not share prompts with, such as a test set.")
    ] = None,
) -> None:
    """Check a file of items: format, answers, duplicates, lengths, and what it shares with another file.

    Of a malformed file the first fault is named: line, field and remedy. Items that say which family they are of are
    judged by its checker. The exit code is 1 if anything is wrong.

    Examples: fairmoe llm dataset validate d.jsonl · fairmoe llm dataset validate pairs.jsonl --need pair --base
    Qwen/Qwen3-0.6B · fairmoe llm dataset validate train.jsonl --against test.jsonl
    """
    if need not in NEEDS:
        raise typer.BadParameter(f"There is no need {need!r}; needs are {', '.join(NEEDS)}.")
    console = plain_console()
    examples = opened(file, need)
    with console.status(f"checking {len(examples):,} items"):
        found = doubts(examples) + _too_long(examples, base, max_length, style)
        if against is not None:
            found += _shared(opened(against), examples, against)
    for sentence in found[:SHOWN]:
        typer.echo(clipped(sentence, console.width))
    if len(found) > SHOWN:
        typer.echo(f"… and {len(found) - SHOWN:,} more.")
    if found:
        typer.echo(f"{file}: {len(found):,} faults in {len(examples):,} items. Mend or leave out these items.")
        raise typer.Exit(1)
    typer.echo(f"{file}: {len(examples):,} items, nothing wrong.")
    typer.echo(f"Next: fairmoe llm train --data {shlex.quote(str(file))}")


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


def _shared(other: list[Example], examples: list[Example], name: Path) -> list[str]:
    from llm_experts.data.overlap import overlap

    return [f"{item}: its prompt is also in {name}" for item in overlap(other, examples).same_prompts]
