"""Many phrases, looked up in one pass over the words of a prompt: an index, not a pattern per expert."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from serving.router.query import tokens

T = TypeVar("T")
Hit = tuple[str, int, tuple[T, ...]]
"""A phrase as its first owner writes it, the place of its first word, and whose phrase it is."""


class PhraseIndex(Generic[T]):
    """Phrases by their first word.

    Parameters
    ----------
    phrases : iterable of (str, T)
        A phrase and whose it is; the same phrase may be that of many.

    Attributes
    ----------
    unfindable : tuple of (str, T)
        Phrases without a letter or digit: no text has them.
    """

    def __init__(self, phrases: Iterable[tuple[str, T]]) -> None:
        owners: dict[tuple[str, ...], dict[T, None]] = {}
        written: dict[tuple[str, ...], str] = {}
        unfindable = []
        for phrase, owner in phrases:
            words = tokens(phrase)
            if words:
                owners.setdefault(words, {})[owner] = None
                written.setdefault(words, phrase)
            else:
                unfindable.append((phrase, owner))
        self.unfindable = tuple(unfindable)
        self._by_first: dict[str, list[tuple[tuple[str, ...], str, tuple[T, ...]]]] = {}
        for words, those in owners.items():
            self._by_first.setdefault(words[0], []).append((words, written[words], tuple(those)))

    def find(self, words: tuple[str, ...]) -> list[Hit[T]]:
        """Every place where a phrase stands."""
        found, by_first = [], self._by_first
        for place, word in enumerate(words):
            for phrase, text, owners in by_first.get(word, ()):
                if len(phrase) == 1 or words[place : place + len(phrase)] == phrase:
                    found.append((text, place, owners))
        return found
