"""Answers that look right and are not: what is rejected in a pair to learn a preference from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta

from foundation.seeding import derive_seed
from llm_experts.data.error import DataError
from llm_experts.data.example import Example
from llm_experts.families.family import Family
from llm_experts.families.shared.answers import NOTHING, is_json, json_in
from llm_experts.families.shared.draw import Draw

TRIES = 20
SWAPS = (
    ("MAX(", "MIN("), ("MIN(", "MAX("), ("AVG(", "SUM("), ("SUM(", "AVG("), ("COUNT(*)", "name"), (" > ", " < "),
    (" < ", " > "), (" DESC", ""), (" AND ", " OR "), ("SELECT name", "SELECT *"), (" = ", " != "),
)  # fmt: skip


def wrong_answer(family: Family, example: Example, seed: int = 0) -> str:
    """A plausible answer that the family's checker refutes; the same for the same arguments.

    Another label, a number or a date a little off, a changed JSON value, a query with another function or condition,
    letters in another order, another word of the prompt: the first of these that fits the kind of answer and is
    verified wrong.

    Raises
    ------
    DataError
        If the item has no right answer to start from, or none of the changed ones is refuted.
    """
    right = example.completion
    if not right:
        raise DataError(f"Item {example.id} has no completion, so no wrong answer can be made of it.")
    draw = Draw(derive_seed(seed, "wrong", family.name, example.id))
    for candidate in _candidates(draw, example):
        if candidate.strip() and candidate != right and not family.check(example, candidate).correct:
            return candidate
    raise DataError(f"No changed answer to item {example.id} is refuted by the family {family.name}.")


def with_rejected(family: Family, example: Example, seed: int = 0) -> Example:
    """The item as a pair: its completion preferred, a verified wrong one rejected."""
    rejected = wrong_answer(family, example, seed)
    return Example(example.id, example.prompt, example.completion, rejected, example.facts)


def _candidates(draw: Draw, example: Example) -> Iterator[str]:
    """Changed answers, those of the answer's own kind first."""
    if example.facts.get("kind") == "letters":
        yield from _letters(draw, example)
    kinds: list[Callable[[Draw, Example], Iterator[str]]] = [
        _labels, _numbers, _dates, _queries, _json, _words, _letters,
    ]  # fmt: skip
    for kind in kinds:
        yield from kind(draw, example)


def _labels(draw: Draw, example: Example) -> Iterator[str]:
    """Other labels, and what else the item says one could confuse its answer with."""
    facts = example.facts
    others = [str(label) for label in (*facts.get("labels", ()), *facts.get("among", ()))]
    yield from draw.sample(others, len(others))


def _numbers(draw: Draw, example: Example) -> Iterator[str]:
    """The last number of the answer, a little off."""
    found = list(re.finditer(r"-?[0-9]{1,15}", example.completion))
    text = example.completion
    if not found or re.search(r"[A-Za-z{\[]|[0-9]-[0-9]", text):
        return
    value = int(found[-1].group())
    for _ in range(TRIES):
        change = draw.pick((1, 1, 2, 3, 5, 10)) * draw.pick((-1, 1))
        if value < 0 or value + change >= 0:
            yield text[: found[-1].start()] + str(value + change) + text[found[-1].end() :]


def _dates(draw: Draw, example: Example) -> Iterator[str]:
    try:
        day = date.fromisoformat(example.completion)
    except ValueError:
        return
    for _ in range(TRIES):
        yield (day + timedelta(days=draw.pick((-30, -7, -2, -1, 1, 2, 7, 31)))).isoformat()


def _queries(draw: Draw, example: Example) -> Iterator[str]:
    query = example.completion
    if not query.upper().startswith(("SELECT", "WITH")):
        return
    swaps = [(old, new) for old, new in SWAPS if old in query]
    for old, new in draw.sample(swaps, len(swaps)):
        yield query.replace(old, new, 1)
    for column in ("name", "*", "COUNT(*)"):
        yield re.sub(r"(?i)^SELECT .*? FROM", f"SELECT {column} FROM", query, count=1)


def _json(draw: Draw, example: Example) -> Iterator[str]:
    """A list or an object with one part changed or missing."""
    text = example.completion
    value = json_in(text) if is_json(text) and text.startswith(("{", "[")) else NOTHING
    if isinstance(value, list):
        for index in draw.sample(range(len(value)), len(value)):
            yield json.dumps(value[:index] + value[index + 1 :])
    if isinstance(value, dict):
        for name in draw.sample(list(value), len(value)):
            old = value[name]
            new = old + 1 if isinstance(old, int) and not isinstance(old, bool) else name
            yield json.dumps({**value, name: new})


def _words(draw: Draw, example: Example) -> Iterator[str]:
    """Another word of the prompt, written as the answer is: a name for a name, a number for a number."""
    prompt = example.prompt if isinstance(example.prompt, str) else example.prompt[-1].content
    like = r"[0-9]+" if example.completion.isdigit() else r"[A-Za-z]{2,}"
    if " " in example.completion.strip() or not example.completion.isalnum():
        return
    found = list(dict.fromkeys(re.findall(like, prompt)))
    capital = example.completion[:1].isupper()
    fitting = [word for word in found if word[:1].isupper() == capital and word.lower() not in ("answer", "what", "is")]
    yield from draw.sample(fitting, len(fitting))


def _letters(draw: Draw, example: Example) -> Iterator[str]:
    """Two neighbours of the answer's letters swapped, or its last part left out."""
    text = example.completion
    apart = " " in text
    parts = text.split(" ") if apart else list(text)
    between = " " if apart else ""
    for _ in range(TRIES if len(parts) > 1 else 0):
        at = draw.below(len(parts) - 1)
        yield between.join([*parts[:at], parts[at + 1], parts[at], *parts[at + 2 :]])
    yield between.join(parts[:-1])
    yield between.join([*parts, parts[-1]])
    yield "unknown"
