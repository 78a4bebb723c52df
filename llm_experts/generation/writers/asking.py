"""How a language model is asked to write items: from the spec, the family's own words and a few of its items."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from foundation.seeding import derive_seed
from llm_experts.data.example import Example, Message
from llm_experts.data.reading import as_record
from llm_experts.families.family import Family
from llm_experts.families.registry import family_named
from llm_experts.generation.spec import DataSpec, Topic

BEGUN = '{"prompt": "'
"""What a base without conversations goes on with."""
SHOWN = 3
"""Items of the family that a request shows."""
SYSTEM = (
    "You write items that a language model learns from. Answer with one JSON object and nothing else: no text before "
    "or behind it, no code fence."
)
KINDS = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


@dataclass(frozen=True, eq=False)
class Request:
    """One block of items that is asked for.

    Attributes
    ----------
    spec : DataSpec
    topic : Topic
    family : Family
    shown : tuple of Example
        Items of the family, from its training part.
    count : int
        Items that are asked for.
    block, seed : int
        Which block of the topic it is.
    """

    spec: DataSpec
    topic: Topic
    family: Family
    shown: tuple[Example, ...]
    count: int
    block: int
    seed: int

    @property
    def with_facts(self) -> bool:
        """Whether items bring what the family's checker needs; those of a published set have no such facts."""
        return not self.family.published

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far."""
        return (Message("system", SYSTEM), Message("user", "\n".join(_lines(self))))

    @property
    def lines(self) -> str:
        """The same for a base without conversations: lines of JSON that it goes on with."""
        head = f"Items of the kind: {_about(self)} One JSON object per line."
        return "\n".join([head, *map(_shown, _plain(self)), BEGUN])


def request_for(spec: DataSpec, topic: Topic, count: int, block: int, seed: int) -> Request:
    """The request for a block of a topic's items; other blocks and seeds show other items."""
    family = family_named(topic.family)
    chosen = derive_seed(seed, "shown", topic.name, block)
    shown = family.make("train", SHOWN, chosen, None if family.published else topic.difficulty)
    return Request(spec, topic, family, tuple(shown), count, block, seed)


def _lines(request: Request) -> list[str]:
    spec, topic = request.spec, request.topic
    hard = "mixed" if topic.difficulty is None else f"{topic.difficulty:.3g}"
    lines = [f"Write {request.count} different items of this kind: {_about(request)}"]
    lines.append(f"Difficulty: {hard}, on a scale from 0 (easiest) to 1 (hardest).")
    lines += [f"Requirement: {requirement}" for requirement in spec.requirements]
    lines.append('Each item is an object with "prompt" (the question as the learner reads it, with all it needs) and')
    lines.append('"completion" (the right answer and nothing else).')
    if request.with_facts:
        lines.append('It also has "facts", from which a program verifies the answer:')
        lines += [f"- {said}" for said in _facts(request.shown)]
    lines.append("Examples, which you must not repeat:")
    lines += map(_shown, _plain(request))
    lines.append(f'Answer with {{"items": [...]}}. This is request {request.block + 1} of series {request.seed}.')
    return lines


def _about(request: Request) -> str:
    return request.topic.about or request.family.about


def _facts(shown: Sequence[Example]) -> list[str]:
    """What facts there are, each with its kind."""
    kinds = {key: KINDS.get(type(value), "null") for item in shown for key, value in facts_of(item).items()}
    return [f"{key}: {kind}" for key, kind in kinds.items()]


def facts_of(example: Example) -> dict[str, object]:
    """The facts that a writer gives: all but the family's name."""
    return {key: value for key, value in example.facts.items() if key != "family"}


def _plain(request: Request) -> list[Example]:
    """The shown items as a writer writes them."""
    return [replace(item, facts=facts_of(item) if request.with_facts else {}) for item in request.shown]


def _shown(example: Example) -> str:
    record = as_record(example)
    del record["id"]
    return json.dumps(record, ensure_ascii=False)
