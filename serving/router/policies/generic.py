"""Prompts for anybody: questions that the base answers by itself, told by how they begin.

Patterns are anchored. "What is SQL?" is the whole prompt "what is" and a few words, so the base answers. "List users
who are older than 30" holds "who are", but does not begin with it.

A pattern is a line of words: ``a|b`` either of them, ``word?`` one that may be missing, ``<1-3>`` one to three words of
any kind. No part of a pattern repeats without a bound, so reading a long prompt takes no longer than its beginning.
"""

from __future__ import annotations

import re

from serving.router.error import RouterError
from serving.router.patterns import GenericPatterns
from serving.router.policy import SILENT, Verdict
from serving.router.query import Query, tokens

OPENERS = r"(?:(?:hi|hello|hey|ok|okay|so|well|please|now|and|but|quick question|can you|could you|please) ){0,3}"
_ANY = re.compile(r"<(\d)-(\d)>")


class GenericPolicy:
    """Says of a prompt whether the base answers by itself, or is likely to."""

    name = "generic"

    def __init__(self, patterns: GenericPatterns | None = None) -> None:
        self.patterns = patterns or GenericPatterns()
        self._whole = _compiled(self.patterns.whole, "(?:please )?$")
        self._start = _compiled(self.patterns.start, "(?= |$)")
        self._reach = 24  # words: more than any pattern with its openers can take

    def scores(self, query: Query) -> Verdict:
        """The base's log-odds, or its victory."""
        head = query.tokens[: self._reach]
        text = " ".join(head) + " "
        if self._whole is not None and len(query.tokens) <= self._reach and (found := self._whole.match(text)):
            pattern = self.patterns.whole[_which(found)]
            return Verdict(decided=f"the whole prompt is of the form {pattern!r}", features={"whole": pattern})
        if self._start is not None and (found := self._start.match(text)):
            return Verdict(base=self.patterns.weight, features={"start": self.patterns.start[_which(found)]})
        return SILENT


def _which(found: re.Match[str]) -> int:
    assert found.lastgroup is not None
    return int(found.lastgroup[1:])


def _compiled(patterns: tuple[str, ...], end: str) -> re.Pattern[str] | None:
    """One pattern of all, over words that each end with a blank."""
    if not patterns:
        return None
    parts = (f"(?P<p{number}>{_regex(pattern)}{end})" for number, pattern in enumerate(patterns))
    return re.compile(OPENERS + "(?:" + "|".join(parts) + ")")


def _regex(pattern: str) -> str:
    parts = pattern.split()
    if not parts:
        raise RouterError("a generic pattern is empty: give words, such as 'what is <1-3>'")
    return "".join(map(_part, parts))


def _part(part: str) -> str:
    if found := _ANY.fullmatch(part):
        low, high = int(found[1]), int(found[2])
        if not 1 <= low <= high:
            raise RouterError(f"{part!r} in a generic pattern: give a smallest and a largest number, such as <1-3>")
        return rf"(?:\S+ ){{{low},{high}}}"
    optional = part.endswith("?")
    words = [tokens(word) for word in part.removesuffix("?").split("|")]
    if any(len(word) != 1 for word in words):
        raise RouterError(f"{part!r} in a generic pattern is no word: write a|b, word? or <1-3>, with blanks between")
    either = "(?:" + "|".join(re.escape(word[0]) for word in words) + ") "
    return f"(?:{either})?" if optional else either
