"""A prompt as routers read it: its words, the same for every policy.

Words are compared without case, compatibility forms and invisible signs: full-width letters and soft hyphens hide
nothing. A word is a run of letters and digits with the signs that names of languages end with (``c++``, ``c#``); every
sign of a script without blanks between words is a word of its own, so that a keyword is a phrase there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_JOINED = "\u0300-\u036f\u0610-\u061a\u064b-\u065f\u0900-\u0dff"
_WORD = re.compile(rf"[{_UNSPACED}]|(?:[^\W_{_UNSPACED}]|[{_JOINED}])+(?:\+\+|\#(?!\w))?")
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:\+\+|\#(?!\w))?")
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))


def tokens(text: str) -> tuple[str, ...]:
    """Words of a text in their order.

    Examples
    --------
    >>> tokens("List users who're OLDER than 30, in C++ (Straße)!")
    ('list', 'users', 'who', 're', 'older', 'than', '30', 'in', 'c++', 'strasse')
    """
    if text.isascii():
        return tuple(_ASCII_WORD.findall(text.lower()))
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.translate(_INVISIBLE)).casefold())
    return tuple(_WORD.findall(plain.replace("i\u0307", "i")))


class Query:
    """A prompt, read once for all policies.

    Parameters
    ----------
    text : str
    state : [d] Tensor, or a function of the text that gives one, or None
        Pooled hidden state of the base. A function is called when the first policy asks for it, and once at most.

    Attributes
    ----------
    text : str
    tokens : tuple of str
    """

    __slots__ = ("_state", "text", "tokens")

    def __init__(
        self, text: str, state: Tensor | Callable[[str], Tensor] | None = None, words: tuple[str, ...] | None = None
    ) -> None:
        self.text = text
        self.tokens = tokens(text) if words is None else words
        self._state = state

    @property
    def state(self) -> Tensor | None:
        """Pooled hidden state [d] of the base, None where nobody knows it."""
        if callable(self._state):
            self._state = self._state(self.text)
        return self._state

    def without(self, words: frozenset[str]) -> Query:
        """The prompt as if it did not have these words; its state stays what it is."""
        return Query(self.text, self._state, tuple(word for word in self.tokens if word not in words))
