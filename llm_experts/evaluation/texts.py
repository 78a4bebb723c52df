"""How answers and references are brought into one form before they are compared."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from llm_experts.families.shared.answers import whole_json

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
    return whole_json(unfenced(text))
