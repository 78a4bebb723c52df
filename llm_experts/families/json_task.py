"""JSON: take a value out, name the keys, say whether it is valid, write it from words."""

from __future__ import annotations

import json
from typing import Any

from llm_experts.data.example import Example
from llm_experts.families.family import Family, Verdict
from llm_experts.families.shared.answers import (
    NOTHING,
    first_line,
    json_in,
    label_in,
    number_in,
    same_json,
    says,
    states,
)
from llm_experts.families.shared.draw import Draw
from llm_experts.families.shared.generated import Made, generated
from llm_experts.families.shared.words import CITIES, COLOURS, JOBS, NAMES, PETS

VALID, INVALID = "yes", "no"
WORDS: dict[str, tuple[str, ...]] = {"name": NAMES, "city": CITIES, "job": JOBS, "pet": PETS, "colour": COLOURS}
NUMBERS, SWITCHES, LISTS = ("age", "size", "cost", "days"), ("paid", "open", "new"), ("marks", "codes")
READ, KEYS_RIGHT, VALUES_RIGHT = 0.2, 0.2, 0.4
"""Rewards of what is JSON, of the right keys, and of all values but the last: together less than a right answer's 1."""


def _draw(draw: Draw, difficulty: float) -> Made:
    kind = draw.pick(_kinds(difficulty))
    document = _document(draw, 2 + int(3.999 * difficulty), difficulty)
    if kind == "write":
        return _made(kind, f"Write as JSON: {_spoken(document)}. Answer:", document)
    text = json.dumps(document)
    if kind == "check":
        broken = draw.chance(0.5)
        text = _broken(draw, text) if broken else text
        label = INVALID if broken else VALID
        facts = {"kind": kind, "answer": label, "labels": [VALID, INVALID]}
        return Made(f"JSON: {text} Is it valid, yes or no? Answer:", label, f"check {text}", facts)
    if kind == "keys":
        return _made(kind, f"JSON: {text} All keys as a list? Answer:", list(document))
    path = _path(draw, document)
    value: Any = document
    for name in path:
        value = value[name]
    made = _made(kind, f"JSON: {text} Value of {'.'.join(path)}? Answer:", value)
    return made._replace(facts={**made.facts, "among": _among(document, made.completion)})


def _kinds(difficulty: float) -> tuple[str, ...]:
    if difficulty < 0.25:
        return ("extract", "check")
    return ("extract", "check", "keys") if difficulty < 0.5 else ("extract", "check", "keys", "write")


def _made(kind: str, prompt: str, answer: Any) -> Made:
    completion = _written(answer) if kind == "extract" else json.dumps(answer)
    return Made(prompt, completion, prompt, {"kind": kind, "answer": answer})


def _written(value: Any) -> str:
    """A value as an answer gives it: words without their quotes."""
    return value if isinstance(value, str) else json.dumps(value)


def _among(document: dict[str, Any], right: str) -> list[str]:
    """Other values of the document, as answers."""
    values = [_written(value) for value in document.values() if not isinstance(value, dict)]
    return [value for value in dict.fromkeys((*values, *document)) if value != right]


def _document(draw: Draw, count: int, difficulty: float) -> dict[str, Any]:
    names = draw.sample((*WORDS, *NUMBERS, *SWITCHES, *(LISTS if difficulty >= 0.5 else ())), count)
    document = {name: _value(draw, name) for name in names}
    if difficulty >= 0.6 and count > 2 and draw.chance(0.6):
        inner = {name: document.pop(name) for name in names[-2:]}
        document[draw.pick(("owner", "item", "place"))] = inner
    return document


def _value(draw: Draw, name: str) -> Any:
    if name in WORDS:
        return draw.pick(WORDS[name])
    if name in SWITCHES:
        return draw.chance(0.5)
    return draw.between(1, 99) if name in NUMBERS else [draw.between(1, 9) for _ in range(draw.between(1, 3))]


def _path(draw: Draw, document: dict[str, Any]) -> list[str]:
    path = [draw.pick(list(document))]
    inner = document[path[0]]
    return [*path, draw.pick(list(inner))] if isinstance(inner, dict) else path


def _spoken(document: dict[str, Any]) -> str:
    parts = []
    for name, value in document.items():
        said = f"({_spoken(value)})" if isinstance(value, dict) else _written(value)
        parts.append(f"{name} is {said}")
    return ", ".join(parts)


def _broken(draw: Draw, text: str) -> str:
    """The text with one fault, which makes it no JSON, whatever it was."""
    fault = draw.below(5)
    if fault == 0:
        return text[:-1]
    if fault == 1:
        return text[:-1] + ",}"
    if fault == 2:
        return text.replace('"', "'")
    if fault == 3:
        return text.replace(":", "", 1)
    return text.replace('"', "", 1)


def _check(example: Example, answer: str) -> Verdict:
    wanted, kind = example.facts["answer"], example.facts["kind"]
    if kind == "check":
        said = label_in(answer, (VALID, INVALID))
        return Verdict(said == wanted, "" if said == wanted else f"{said or 'no label'} is not {wanted}")
    value = _extracted(example, answer) if kind == "extract" else json_in(answer)
    if kind == "keys":
        value, wanted = _sorted(value), _sorted(wanted)
    if value is NOTHING:
        return Verdict(False, "there is no JSON" if first_line(answer) else "there is no answer")
    return Verdict(True) if same_json(value, wanted) else Verdict(False, "another value")


def _extracted(example: Example, answer: str) -> Any:
    """The value that an answer states: as JSON, or in a sentence ("It is 12.")."""
    wanted, among = example.facts["answer"], example.facts.get("among", ())
    if isinstance(wanted, str) and (says(answer, wanted) or states(answer, wanted, among)):
        return wanted
    value = json_in(answer)
    if value is not NOTHING or not isinstance(wanted, int | float):
        return value
    if isinstance(wanted, bool):
        return {"true": True, "false": False}.get(label_in(answer, ("true", "false")) or "", NOTHING)
    number = number_in(answer)
    return NOTHING if number is None else float(number)


def _sorted(value: Any) -> Any:
    """Keys in one order: a list of them says nothing by its order."""
    return sorted(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else value


def _reward(example: Example, answer: str) -> float:
    """1 if right; otherwise a little for JSON, more for its keys and values."""
    if _check(example, answer).correct:
        return 1.0
    wanted, value = example.facts["answer"], json_in(answer)
    if example.facts["kind"] == "check" or value is NOTHING:
        return 0.0
    if not (isinstance(wanted, dict) and isinstance(value, dict)):
        return READ
    right = sum(name in value and same_json(value[name], item) for name, item in wanted.items()) / len(wanted)
    return READ + KEYS_RIGHT * (value.keys() == wanted.keys()) + VALUES_RIGHT * right


FAMILY = Family(
    name="json_task",
    label="JSON",
    about="Take a value out of JSON, list its keys, say whether it is valid, write it from words.",
    scores=("correct",),
    longest_answer=96,
    make=generated("json_task", _draw),
    check=_check,
    reward=_reward,
)
