"""``fairmoe llm dataset stats``: what a file of items holds."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.commands.llm.dataset.checked import CheckNames, checked, show_checked
from benchmarks.commands.llm.dataset.opened import lengths, opened
from benchmarks.commands.llm.options import BaseName, Style
from benchmarks.commands.llm.showing import print_facts
from foundation.console import plain_console

if TYPE_CHECKING:
    from llm_experts.data.example import Example


def stats(
    file: Annotated[Path, typer.Argument(help="JSON lines (.jsonl or .jsonl.gz).")],
    base: BaseName = "nano",
    style: Style = "auto",
    against: Annotated[
        Path | None, typer.Option(help="Another file, such as a training set: how much of this one it holds.")
    ] = None,
    checks: CheckNames = "none",
) -> None:
    """Count a file of items: families, answers, duplicates, lengths in a base's tokens, overlap with another file.

    With --checks also what the checks of generated items say of it, without a verdict.

    Examples: fairmoe llm dataset stats d.jsonl · fairmoe llm dataset stats test.jsonl --against train.jsonl ·
    fairmoe llm dataset stats d.jsonl --checks all
    """
    console = plain_console()
    examples = opened(file)
    other = None if against is None else opened(against)
    with console.status(f"counting {len(examples):,} items"):
        facts = _facts(examples, base, style)
        if other is not None:
            facts |= _overlap(other, examples)
    print_facts(f"items of {file.name}", facts, console)
    if checks != "none":
        found = checked(examples, checks, base, {} if other is None else {str(against): other}, console)
        show_checked(found, examples, console)
    typer.echo(f"Next: fairmoe llm dataset validate {shlex.quote(str(file))}")


def _facts(examples: list[Example], base: str, style: str) -> dict[str, Any]:
    from llm_experts.data.fingerprint import hash_examples
    from llm_experts.data.overlap import repeated
    from llm_experts.data.repeats import nearly_repeated

    tokens = lengths(examples, base, style)
    named = Counter(str(example.facts["family"]) for example in examples if "family" in example.facts)
    return {
        "items": len(examples),
        "with an answer": sum(bool(example.completion) for example in examples),
        "with a rejected answer": sum(example.rejected is not None for example in examples),
        "family": dict(named.most_common()),
        "repeated": sum(len(ids) - 1 for ids in repeated(examples)),
        "nearly repeated": len(nearly_repeated(examples)),
        "different answers": len({example.completion for example in examples}),
        f"prompt, tokens of {base}": _spread(tokens.prompts),
        f"answer, tokens of {base}": _spread(tokens.answers),
        "sha256": hash_examples(examples)[:16],
    }


def _spread(sizes: list[int]) -> str:
    return f"median {median(sizes):.0f}, most {max(sizes)}" if sizes else "none"


def _overlap(other: list[Example], examples: list[Example]) -> dict[str, Any]:
    from llm_experts.data.overlap import overlap

    found = overlap(other, examples)
    return {
        "prompts also in the other file": len(found.same_prompts),
        f"share at least {found.threshold:.0%} of their {found.n}-grams": len(found.flagged),
    }
