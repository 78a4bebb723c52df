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

FENCE = re.compile(
    r"```(?:[A-Za-z0-9_+-]*[ \t]*\n|(?:json|sqlite|sql|python3?|py|text)\b[ \t]*)?(.*?)(?:```|\Z)", re.S | re.I
)
"""A Markdown fence; a word behind its first marks is a language if it has the line for itself, or is a known one."""
MARK = re.compile(r"####|\\boxed\{")
SAID = re.compile(
    r"[\W_]*(?:(?:so|thus|therefore|hence|and|here|is|the|my|your|final|correct|right)\b[\W_]+){0,5}"
    r"answer\b[*_]*(?:\s+(?:is|would be)\b)?[\s:=*_]*",
    re.I,
)
"""What leads to an answer at the beginning of a line, such as ``So the answer is:``."""
SAID_WITHIN = re.compile(r"\banswer\b[*_]*(?:\s+is\b|\s*[:=])[\s:=*_]*", re.I)
NUMBER = re.compile(
    r"(?<![\w.])[-−]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,18})(?:\.[0-9]{1,18})?"
    r"(?![0-9]|\.[0-9]|[eE][-+]?[0-9]|\s?%)"
)
OPERATOR = re.compile(r"\s*[-+*/×÷=−–]")
SENTENCE = re.compile(r"[.,;:!?](?=\s|\Z)|[(\n]")
QUERY = r"(?:select\b|with\s+(?:recursive\s+)?\w+\s*(?:\([^()]*\)\s*)?as\s+(?:(?:not\s+)?materialized\s*)?\()"
QUERY_LINE = re.compile(rf"^[ \t>*`\"]*(?={QUERY})", re.I | re.M)
QUERY_WITHIN = re.compile(rf"\b(?={QUERY})", re.I)
OTHER_LINE = re.compile(
    r"\r?\n(?![ \t]+\S|[(),]|"
    r"(?:from|where|join|inner|left|cross|on|and|or|group|order|having|limit|union|select|as)\b)",
    re.IGNORECASE,
)
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
    """The first line that says something, without what leads to an answer and what only surrounds a value.

    A line such as ``Sure! Here is the answer:`` says nothing if another one follows.
    """
    lines = [line.strip() for line in unfenced(answer).splitlines() if line.strip()]
    while len(lines) > 1 and (lines[0].rstrip("*_").endswith(":") or _led(lines[0]) == ""):
        del lines[0]
    return _led(lines[0]) if lines else ""


def number_in(answer: str) -> Fraction | None:
    """The number that an answer states.

    It is the one behind ``####`` or in a box; else the one that the answer begins with; else the one behind "answer
    is" or "answer:"; else the last one of the first line that has any. Of a sum that is worked out it is the result.
    """
    text = unfenced(answer).lstrip(AROUND + "$")
    mark = MARK.search(text)
    if mark:
        return _value(NUMBER.search(text, mark.end()))
    if NUMBER.match(text):
        return _worked_out(text)
    said = SAID_WITHIN.search(text) or SAID.match(text)
    if said:
        found = NUMBER.search(text, said.end())
        return _worked_out(text[found.start() :]) if found else None
    for line in text.splitlines():
        numbers = list(NUMBER.finditer(line))
        if numbers:
            return _value(numbers[-1])
    return None


def label_in(answer: str, labels: Iterable[str]) -> str | None:
    """The one of the labels that an answer states: the one it begins with, else the only one of its first line.

    Of two that it begins with it is the longer one. A label that is denied ("not valid") is none, and neither is one
    of a list of them ("yes or no", which only repeats the question).
    """
    line = " ".join(first_line(answer).lower().split())
    found = {label: re.search(rf"(?<!\w){re.escape(label.lower())}(?!\w)", line) for label in labels}
    places = {label: match for label, match in found.items() if match}
    first = max((label for label, match in places.items() if match.start() == 0), key=len, default=None)
    if first is not None:
        others = "|".join(re.escape(label.lower()) for label in found if label != first)
        listed = others and re.match(
            rf"\s*(?:[,/|]|\bor\b|\band\b)\s*(?:{others})\s*(?:[,/|]|or\b|and\b|\W*\Z)", line[len(first) :]
        )
        return None if listed else first
    if len(places) != 1:
        return None
    ((label, match),) = places.items()
    return None if re.search(r"(?:\bnot|n't|\bnever|\bno)\W+$", line[: match.start()]) else label


def says(answer: str, word: str) -> bool:
    """Whether the first line of an answer begins with this word or value, in any case, and goes on with another."""
    line = " ".join(first_line(answer).lower().split())
    word = " ".join(word.lower().split())
    return line.startswith(word) and not re.match(r"[\w-]|\.[0-9]|,[0-9]", line[len(word) :])


def states(answer: str, word: str, among: Iterable[str]) -> bool:
    """Whether the first line of an answer names this word, and none of those that it could be confused with."""
    others = [other for other in among if other != word]
    return bool(others) and label_in(answer, [word, *others]) == word


def date_in(answer: str) -> date | None:
    """The date that an answer states, as 2024-03-01, 1 March 2024 or March 1, 2024.

    It is the one that the answer begins with, else the last one of the first line that has any.
    """
    for line in (first_line(answer), *unfenced(answer).splitlines()):
        dated = [
            *((m.start(), m.group(1), m.group(2), m.group(3)) for m in ISO.finditer(line)),
            *((m.start(), m.group(3), _month(m.group(2)), m.group(1)) for m in DAY_FIRST.finditer(line)),
            *((m.start(), m.group(3), _month(m.group(1)), m.group(2)) for m in MONTH_FIRST.finditer(line)),
        ]
        named = [(at, _date(int(year), int(month), int(day))) for at, year, month, day in sorted(dated)]
        real = [(at, found) for at, found in named if found is not None]
        if real:
            return real[0 if real[0][0] == 0 else -1][1]
    return None


def json_in(answer: str) -> Any:
    """The JSON value that an answer begins with, else the first object or list within it; ``NOTHING`` if none.

    Names that come twice, NaN and infinite numbers are no JSON here.
    """
    text = unfenced(answer)
    text = text.strip("*`_ ") if text[:1] in ("*", "`", "_") else text
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
    if re.match(r"\w", text[end - 1 :]) and re.match(r"\w|[.,/][0-9]|\s?%", text[end:]):
        return NOTHING  # a part of a longer word or number
    return value


def query_in(answer: str) -> str:
    """The first statement of an answer, from a ``SELECT`` or ``WITH`` on, that of a line's beginning before others.

    It ends with a semicolon, an empty line, a fence, or a line that does not go on with SQL.
    """
    fence = FENCE.search(answer)
    text = fence.group(1) if fence else answer
    begins = QUERY_LINE.search(text) or QUERY_WITHIN.search(text)
    at = begins.end() if begins else 0
    around = re.search(r"(\*\*|[`\"])\Z", text[:at])
    text = OTHER_LINE.split(text[at:].split(";")[0].strip())[0]
    return (text.split(around[1])[0] if around else text).strip().rstrip(". ")


def _led(line: str) -> str:
    lead = SAID.match(line)
    return (line[lead.end() :] if lead else line).strip(AROUND)


def _worked_out(text: str) -> Fraction | None:
    """The number that a text begins with; of a sum its result."""
    line = text.splitlines()[0]
    said = line[: end.start()] if (end := SENTENCE.search(line)) else line
    equals = said.rpartition("=")
    if equals[1] and (result := NUMBER.search(equals[2])):
        return _value(result)
    first = NUMBER.match(text)
    if first and OPERATOR.match(text, first.end()):
        return _value(list(NUMBER.finditer(line))[-1])
    return _value(first)


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
