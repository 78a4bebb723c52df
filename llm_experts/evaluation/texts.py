"""How answers and references are brought into one form before they are compared."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

_FENCE = re.compile(r"\A```[\w+-]*[ \t]*\n(.*?)\n?```\Z", re.DOTALL)
_QUOTES = "\"'`“”‘’"
_ENDS = ".!?,;:"


def normalised(text: str) -> str:
    """A text without what does not change an answer.

    Compatibility forms of characters (NFKC) and case are folded, runs of white space are one blank, and quotation marks
    around the text and punctuation behind it are left out. Articles and inner punctuation stay.
    """
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    before = None
    while folded != before:
        before = folded
        folded = folded.rstrip(_ENDS + " ")
        if len(folded) > 1 and folded[0] in _QUOTES and folded[-1] in _QUOTES:
            folded = folded[1:-1].strip()
    return folded or " ".join(text.split())


def unfenced(text: str) -> str:
    """A text without white space around it, and without a Markdown fence that holds all of it."""
    stripped = text.strip()
    found = _FENCE.match(stripped)
    return found.group(1).strip() if found else stripped


def json_in(text: str) -> Any:
    """The JSON that a text is (:func:`unfenced`).

    Raises
    ------
    ValueError
        If it is none by RFC 8259: NaN and Infinity are none, and neither is a key that stands there twice or anything
        before or behind the value.
    """
    try:
        return json.loads(unfenced(text), parse_constant=_refuse, object_pairs_hook=_pairs)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def same_json(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: keys in any order, 1 and 1.0 alike, true and 1 not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same_json(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    return type(one) is type(other) and bool(one == other)


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found
