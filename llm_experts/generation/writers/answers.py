"""What a language model wrote, as items: strictly, because what is guessed here is learnt later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from llm_experts.data.error import DataError
from llm_experts.data.example import Example, Message
from llm_experts.data.records import Fault, example_of
from llm_experts.families.shared.answers import whole_json
from llm_experts.generation.draft import Draft
from llm_experts.generation.writers.asking import Request, facts_of

KEPT = 500
"""Characters of an unreadable answer that are kept for people to look at."""
NOT_JUDGED = (DataError, KeyError, IndexError, TypeError, ValueError, AttributeError)
"""What a checker raises of facts that are not as it needs them."""


class MalformedError(ValueError):
    """An answer that is no list of items at all; the text says why."""


def items_in(text: str) -> list[Any]:
    """The list under ``items`` of an answer that is one JSON object.

    Raises
    ------
    MalformedError
        If it is none.
    """
    try:
        value = whole_json(text.strip())
    except ValueError as error:
        raise MalformedError(f"the answer is not JSON ({error})") from error
    if not isinstance(value, dict) or not isinstance(value.get("items"), list):
        raise MalformedError('the answer is not an object with a list "items"')
    found: list[Any] = value["items"]
    return found


def drafts_of(request: Request, items: list[Any]) -> list[Draft]:
    """One draft for each item that was asked for; what is missing or no item is one with a fault."""
    found = [_draft(request, place, item) for place, item in enumerate(items[: request.count])]
    short = f"the answer has only {len(items)} items"
    return found + [fault(request, place, short) for place in range(len(found), request.count)]


def fault(request: Request, place: int, why: str, text: str = "") -> Draft:
    """A draft that is no item."""
    topic = request.topic
    words = (topic.name, repr(topic.difficulty), str(request.seed), str(request.block), str(place))
    name = f"unread-{blake2b(' '.join(words).encode(), digest_size=8).hexdigest()}"
    return Draft(Example(name, _printable(text[:KEPT])), topic.name, topic.difficulty, fault=why)


def _draft(request: Request, place: int, item: Any) -> Draft:
    try:
        example = _example(request, item)
    except Fault as found:
        return fault(request, place, str(found), json.dumps(item))
    return Draft(example, request.topic.name, request.topic.difficulty)


def _example(request: Request, item: Any) -> Example:
    if not isinstance(item, dict):
        raise Fault("the item is not an object", "")
    wanted = {"prompt", "completion", *(["facts"] if request.with_facts else [])}
    if set(item) != wanted:
        raise Fault(f"the item has the fields {_listed(item)}, not {_listed(wanted)}", "")
    if not isinstance(item["prompt"], str) or not item["prompt"].strip():
        raise Fault("prompt is no text that says something", "")
    if any(item["prompt"].strip() == shown.prompt for shown in request.shown):
        raise Fault("it repeats an example", "")
    example = example_of({**item, "id": _name(request, item["prompt"])}, "prompt", "completion", "")
    if request.with_facts:
        example = _judged(request, example)
    return _in_format(request, example)


def _judged(request: Request, example: Example) -> Example:
    """The item with its family's name, if its facts are those of the family's items and its checker can read them."""
    known = [facts_of(shown) for shown in request.shown]
    if not any(_alike(example.facts, facts) for facts in known):
        told = " or ".join(dict.fromkeys(_listed(facts) for facts in known))
        raise Fault(f"its facts are {_listed(example.facts)}, not {told}, each of its kind", "")
    judged = replace(example, facts={"family": request.topic.family, **example.facts})
    try:
        request.family.check(judged, judged.completion)
    except NOT_JUDGED as error:
        raise Fault(f"its facts cannot be judged by: {type(error).__name__}", "") from error
    return judged


def _alike(facts: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether facts have the names and kinds of others; what both call their kind or labels is the same."""
    if facts.keys() != known.keys():
        return False
    same = all(facts[key] == known[key] for key in ("kind", "labels") if key in known)
    return same and all(type(facts[key]) is type(known[key]) for key in known)


def _in_format(request: Request, example: Example) -> Example:
    if request.spec.format == "chat":
        return replace(example, prompt=(Message("user", str(example.prompt)),))
    return example


def _name(request: Request, prompt: str) -> str:
    """The same item has the same id in every set."""
    return f"{request.family.name}-{blake2b(prompt.encode(errors='replace'), digest_size=8).hexdigest()}"


def _listed(names: Any) -> str:
    return ", ".join(sorted(map(str, names))) or "none"


def _printable(text: str) -> str:
    """Text without what no file can hold."""
    return text.encode(errors="replace").decode().replace("\x00", " ")
