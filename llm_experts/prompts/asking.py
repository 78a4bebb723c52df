"""How a base is asked about a row beyond the template: in a chat, and behind answered examples (few-shot)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shot:
    """An answered example: a row of the training part.

    Attributes
    ----------
    cells : tuple of (column, value)
        What the row says, in words; a template makes a text of it.
    answer : int
        Its label: 1 is the card's positive word, 0 the negative one.
    """

    cells: tuple[tuple[str, str], ...]
    answer: int


@dataclass(frozen=True)
class Asking:
    """How rows are asked about; all of it is in the prompt's tokens.

    Attributes
    ----------
    chat : bool
        Row and question are a user's turn in the base's chat template, and the answer word begins the assistant's.
    shots : tuple of Shot
        What every prompt begins with.
    """

    chat: bool = False
    shots: tuple[Shot, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        shots = [{"cells": [list(cell) for cell in shot.cells], "answer": shot.answer} for shot in self.shots]
        return {"chat": self.chat, "shots": shots}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Asking:
        """The inverse of :meth:`as_dict`.

        Raises
        ------
        ValueError
            If the facts are no way to ask.
        """
        try:
            if not isinstance(facts["chat"], bool):
                raise TypeError("chat is neither true nor false")
            return cls(facts["chat"], tuple(_shot(shot) for shot in facts["shots"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"what it says of its prompt is damaged ({error!r})") from error


def _shot(facts: Mapping[str, Any]) -> Shot:
    if facts["answer"] not in (0, 1):
        raise ValueError(f"the answer of an example is {facts['answer']!r}")
    return Shot(tuple((str(column), str(value)) for column, value in facts["cells"]), int(facts["answer"]))


PLAIN = Asking()
"""The row's text and the question, nothing before."""
