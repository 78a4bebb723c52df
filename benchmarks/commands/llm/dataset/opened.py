"""A file of items, and what its families say of them."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_experts.data.encoding import Style
    from llm_experts.data.example import Example
    from llm_experts.data.reading import Need

NEEDS = ("auto", "completion", "pair", "prompt", "text")


class Lengths(NamedTuple):
    """Tokens of each item's prompt and answer."""

    prompts: list[int]
    answers: list[int]


def opened(path: Path, need: str = "auto") -> list[Example]:
    """The items of a file; ``auto`` asks of every line what the first one has: a pair, a text, an answer, a prompt.

    Raises
    ------
    DataError
        What is wrong first: file, line, field and remedy.
    """
    from llm_experts.data.reading import read_examples

    if need == "auto":
        need = _need(path)
    return read_examples(path, need=cast("Need", need))


def doubts(examples: Sequence[Example]) -> list[str]:
    """What a file's own families and a second look say against it: one sentence per fault."""
    from llm_experts.data.overlap import repeated
    from llm_experts.families.registry import family_of

    found = []
    unknown = _unknown(examples)
    for example in examples:
        family = None if str(example.facts.get("family")) in unknown else family_of(example)
        if family is None or not example.completion:
            continue
        verdict = family.check(example, example.completion)
        if not verdict.correct:
            found.append(f"{example.id}: {family.name} refutes its answer ({verdict.reason})")
        if example.rejected is not None and family.check(example, example.rejected).correct:
            found.append(f"{example.id}: {family.name} finds its rejected answer right")
    for ids in repeated(examples):
        others = f" and {len(ids) - 2} more" if len(ids) > 2 else ""
        found.append(f"{ids[0]}: the same prompt and answer as {ids[1]}{others}")
    return found


def unknown_families(examples: Sequence[Example]) -> list[str]:
    """One sentence for each family that items name and that is not there: nothing judges their answers."""
    return [
        f"{count:,} items say that they are of the family {name!r}, which is not there; no checker judges their answers"
        for name, count in _unknown(examples).items()
    ]


def _unknown(examples: Sequence[Example]) -> dict[str, int]:
    """Items by the name of a family that is not there."""
    from llm_experts.data.error import DataError
    from llm_experts.families.registry import family_named

    found = {}
    for name, count in Counter(str(one.facts["family"]) for one in examples if "family" in one.facts).items():
        try:
            family_named(name)
        except DataError:
            found[name] = count
    return found


def lengths(examples: Sequence[Example], base: str, style: str) -> Lengths:
    """Tokens of prompts and answers for a base, of which only the tokenizer is used."""
    from llm_experts.bases.load import load_base
    from llm_experts.data.encoding import answer_ids, prompt_ids

    loaded, how = load_base(base), cast("Style", style)
    return Lengths(
        [len(prompt_ids(example, loaded, how)) for example in examples],
        [len(answer_ids(example, loaded, example.completion, how)) for example in examples if example.completion],
    )


def _need(path: Path) -> str:
    """What the first line that says something has; "prompt" where it cannot be told: the reading then explains."""
    from llm_experts.data.records import format_of

    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            line = next((line for line in stream if line.strip()), b"")
        record = json.loads(line)
    except (OSError, EOFError, ValueError, RecursionError):
        return "prompt"
    if not isinstance(record, dict):
        return "prompt"
    told = {"pair": "pair", "text": "text"}.get(format_of(record))
    return told or ("completion" if _answered(record) else "prompt")


def _answered(record: Mapping[str, Any]) -> bool:
    """Whether a line has an answer, in any of the formats."""
    turns = record.get("messages")
    last = turns[-1] if isinstance(turns, list) and turns else None
    return bool(
        record.get("completion") or record.get("output") or (isinstance(last, dict) and last.get("role") == "assistant")
    )
