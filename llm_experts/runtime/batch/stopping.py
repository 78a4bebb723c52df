"""Text of an answer as it grows: whole characters only, and nothing that may be part of a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

BROKEN = "�"
LONGEST = 3
"""Bytes of a character that may still be missing its last one; each may show as one sign."""


class TextStream:
    """Characters from tokens: a character may be spread over tokens, and is given when it is whole.

    Parameters
    ----------
    decode : callable
        Text of tokens.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._before: list[int] = []
        self._tokens: list[int] = []
        self._given = 0

    def push(self, token: int) -> str:
        """The text that the token makes whole."""
        self._tokens.append(token)
        text = self._text()
        end = len(text)
        while end > max(0, len(text) - LONGEST) and text[end - 1] == BROKEN:
            end -= 1
        new = text[self._given : end]
        self._given = max(self._given, end)
        if end == len(text) and text:
            self._before, self._tokens, self._given = self._tokens, [], 0
        return new

    def flush(self) -> str:
        """What is left, broken characters as they are."""
        new = self._text()[self._given :]
        self._before, self._tokens, self._given = self._tokens, [], 0
        return new

    def _text(self) -> str:
        """Text of the tokens that are not given whole, decoded behind those before: some decoders trim a beginning."""
        if not self._tokens:
            return ""
        return self._decode([*self._before, *self._tokens])[len(self._decode(self._before)) :]


class StopMatcher:
    """Holds text back until it cannot be part of a stop string.

    Parameters
    ----------
    stops : sequence of str
        None of them empty.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """The text that is safe to give, and whether a stop string was found: the text then ends ahead of it."""
        self._held += text
        found = [place for place in map(self._held.find, self._stops) if place >= 0]
        if found:
            safe, self._held = self._held[: min(found)], ""
            return safe, True
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        safe, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return safe, False

    def flush(self) -> str:
        """What is held: no stop string came of it."""
        rest, self._held = self._held, ""
        return rest


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of the text that begins the stop string."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
