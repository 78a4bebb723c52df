"""Requests that ask for a call of a tool as one JSON object, and what a call has to look like."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from foundation.seeding import derive_seed
from llm_experts.data.example import Example
from llm_experts.discovery.measuring.domain import Scenario
from llm_experts.families.shared.draw import Draw
from llm_experts.families.shared.words import CITIES, COLOURS, NAMES

NAME = "tools"
TOOLS: dict[str, tuple[str, dict[str, tuple[Any, ...]]]] = {
    "get_weather": ("What will the weather be in {city} in {days} days?", {"city": CITIES, "days": tuple(range(1, 8))}),
    "set_timer": ("Set a timer of {minutes} minutes.", {"minutes": tuple(range(2, 60))}),
    "send_message": ("Tell {to} that I am {late} minutes late.", {"to": NAMES, "late": tuple(range(5, 45))}),
    "book_table": ("Book a table for {guests} in {city}.", {"guests": tuple(range(2, 12)), "city": CITIES}),
    "paint": ("Paint room {room} in {colour}.", {"room": tuple(range(1, 30)), "colour": COLOURS}),
    "find_route": ("How do I get from {start} to {end}?", {"start": CITIES, "end": CITIES}),
    "add": ("What is {a} plus {b}?", {"a": tuple(range(10, 99)), "b": tuple(range(10, 99))}),
    "call_person": ("Call {name}.", {"name": NAMES}),
}
"""Name of a tool → a request for it, and what its arguments are taken from."""


def tool_scenarios(count: int, seed: int = 0) -> list[Scenario]:
    """Requests with their call and three others: another tool, another argument, one that is no JSON."""
    return [_scenario(Draw(derive_seed(seed, NAME, number)), number) for number in range(count)]


def call_in(text: str, tools: Mapping[str, Sequence[str]]) -> dict[str, Any] | None:
    """The call that a text is, and nothing else; None where it is none of these tools' with just their arguments.

    Parameters
    ----------
    text : str
    tools : mapping of name -> names of its arguments
    """
    try:
        found = json.loads(text.strip())
    except ValueError:
        return None
    if not isinstance(found, dict) or found.keys() != {"name", "arguments"}:
        return None
    name, arguments = found["name"], found["arguments"]
    if not isinstance(name, str) or name not in tools or not isinstance(arguments, dict):
        return None
    return found if arguments.keys() == set(tools[name]) else None


def tools_of(example: Example) -> dict[str, list[str]]:
    """The tools that an item offers."""
    return {name: list(arguments) for name, arguments in example.facts["tools"].items()}


def _scenario(draw: Draw, number: int) -> Scenario:
    name, other = draw.sample(tuple(TOOLS), 2)
    request, fields = TOOLS[name]
    arguments = {key: draw.pick(values) for key, values in fields.items()}
    shown = [name, other] if draw.chance(0.5) else [other, name]
    tools = {one: list(TOOLS[one][1]) for one in shown}
    listed = "; ".join(f"{one}({', '.join(keys)})" for one, keys in tools.items())
    prompt = (
        f"Tools: {listed}.\nAnswer with one call as JSON, with name and arguments.\n"
        f"Request: {request.format(**arguments)}\nCall:"
    )
    right = _call(name, arguments)
    changed = {**arguments, (key := draw.pick(tuple(fields))): _another(draw, fields[key], arguments[key])}
    wrong = (_call(other, arguments), _call(name, changed), right[:-1])
    return Scenario(NAME, Example(f"{NAME}-{number}", prompt, right, facts={"tools": tools}), (right, *wrong))


def _call(name: str, arguments: Mapping[str, Any]) -> str:
    return json.dumps({"name": name, "arguments": dict(arguments)})


def _another(draw: Draw, values: Sequence[Any], but: Any) -> Any:
    return draw.pick(tuple(value for value in values if value != but))
