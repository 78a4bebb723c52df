"""What an answer says: the number, word, date or JSON value that it states, whatever stands around it.

Of an answer one candidate is read, never several: naming all of them is no way to be right. Nothing here raises,
whatever the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import date
from fractions import Fraction
from typing import Any

from llm_experts.families.shared.words import MONTHS

FENCE = re.compile(r"```[A-Za-z0-9_+-]*[ \t]*\n?(.*?)(?:```|\Z)", re.S)
MARK = re.compile(r"####|\\boxed\{")
SAID = re.compile(r"\banswer(?:\s+is\b)?\s*[:=]?", re.I)
NUMBER = re.compile(r"(?<![\w.])[-−]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,18})(?:\.[0-9]{1,18})?(?![0-9])")
OPERATOR = re.compile(r"\s*[-+*/×÷=−]")
ISO = re.compile(r"(?<![0-9])([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?![0-9])")
DAY_FIRST = re.compile(r"(?<![0-9])([0-9]{1,2})(?:st|nd|rd|th)?\s+([A-Za-z]{3,9})\.?,?\s+([0-9]{4})(?![0-9])")
MONTH_FIRST = re.compile(r"([A-Za-z]{3,9})\.?\s+([0-9]{1,2})(?:st|nd|rd|th)?,?\s+([0-9]{4})(?![0-9])")
AROUND = " \t\r\n\"'`*.,;:!"
NOTHING = object()
"""Where there is no JSON value: None is one."""


def unfenced(answer: str) -> str:
    """The text within the first Markdown fence, the whole text where there is none."""
    found = FENCE.search(answer)
    return (found.group(1) if found else answer).strip()


def first_line(answer: str) -> str:
    """The first line that says something, without a leading ``Answer:``, and without what only surrounds a value."""
    lines = (line.strip() for line in unfenced(answer).splitlines())
    line = next((line for line in lines if line), "")
    lead = SAID.match(line)
    return (line[lead.end() :] if lead else line).strip(AROUND)


def number_in(answer: str) -> Fraction | None:
    """The number that an answer states.

    It is the one behind ``####`` or in a box; else the one that the answer begins with, if no sum follows it; else the
    one behind "answer"; else the last one of the first line that has any.
    """
    text = unfenced(answer).lstrip(AROUND + "$")
    mark = MARK.search(text)
    if mark:
        return _value(NUMBER.search(text, mark.end()))
    start = NUMBER.match(text)
    if start and not OPERATOR.match(text, start.end()):
        return _value(start)
    said = SAID.search(text)
    if said:
        return _value(NUMBER.search(text, said.end()))
    for line in text.splitlines():
        found = list(NUMBER.finditer(line))
        if found:
            return _value(found[-1])
    return None


def label_in(answer: str, labels: Iterable[str]) -> str | None:
    """The one of the labels that an answer states: the one it begins with, else the only one of its first line.

    Of two labels that it begins with the longer one counts ("not guilty" before "not"). A label that is denied ("not
    valid") is none.
    """
    line = " ".join(first_line(answer).lower().split())
    found = {label: re.search(rf"(?<!\w){re.escape(label.lower())}(?!\w)", line) for label in labels}
    places = {label: match for label, match in found.items() if match}
    first = [label for label, match in places.items() if match.start() == 0]
    if first:
        return max(first, key=len)
    if len(places) != 1:
        return None
    ((label, match),) = places.items()
    return None if re.search(r"(?:\bnot|n't|\bnever|\bno)\W+$", line[: match.start()]) else label


def says(answer: str, word: str) -> bool:
    """Whether the first line of an answer begins with this word or value, in any case, and goes on with another."""
    line = " ".join(first_line(answer).lower().split())
    word = " ".join(word.lower().split())
    return line.startswith(word) and not re.match(r"[\w-]|\.[0-9]|,[0-9]", line[len(word) :])


def date_in(answer: str) -> date | None:
    """The first date that an answer states, as 2024-03-01, 1 March 2024 or March 1, 2024."""
    text = unfenced(answer)
    for line in text.splitlines():
        dated = [
            *((m.start(), m.group(1), m.group(2), m.group(3)) for m in ISO.finditer(line)),
            *((m.start(), m.group(3), _month(m.group(2)), m.group(1)) for m in DAY_FIRST.finditer(line)),
            *((m.start(), m.group(3), _month(m.group(1)), m.group(2)) for m in MONTH_FIRST.finditer(line)),
        ]
        for _, year, month, day in sorted(dated):
            found = _date(int(year), int(month), int(day))
            if found is not None:
                return found
    return None


def json_in(answer: str) -> Any:
    """The JSON value that an answer begins with, else the first object or list within it; ``NOTHING`` if none.

    Names that come twice, NaN and infinite numbers are no JSON here.
    """
    text = unfenced(answer)
    lead = SAID.match(text)
    text = text[lead.end() :].lstrip() if lead else text
    value = _decoded(text)
    if value is NOTHING:
        start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
        value = _decoded(text[start:]) if start > 0 else NOTHING
    return value


def whole_json(text: str) -> Any:
    """The one JSON value that a whole text is.

    Raises
    ------
    ValueError
        If it is none by RFC 8259: NaN and Infinity are none, and neither is a name that comes twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_refused)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def is_json(text: str) -> bool:
    """Whether a whole text is one JSON value."""
    try:
        whole_json(text)
    except ValueError:
        return False
    return True


def same_json(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal: objects in any order of names, 1 as 1.0, but true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_json(value, right[name]) for name, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_json, left, right))
    return bool(left == right)


def _decoded(text: str) -> Any:
    decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refused)
    try:
        value, end = decoder.raw_decode(text)
    except (ValueError, RecursionError):
        return NOTHING
    return NOTHING if re.match(r"\w", text[end:]) and re.match(r"\w", text[end - 1 :]) else value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name comes twice")
    return dict(pairs)


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _value(found: re.Match[str] | None) -> Fraction | None:
    return Fraction(found.group().replace(",", "").replace("−", "-")) if found else None


def _month(word: str) -> str:
    """Number of a month's name or its first letters, 0 if it is none."""
    known = [index for index, month in enumerate(MONTHS, 1) if month.lower().startswith(word.lower())]
    return str(known[0]) if known else "0"


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
