"""One item that a language expert learns from or is examined on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Message:
    """One turn of a conversation.

    Attributes
    ----------
    role : str
        ``system``, ``user`` or ``assistant``; a request to the engine may also have ``tool``.
    content : str
    """

    role: str
    content: str

    def as_mapping(self) -> dict[str, str]:
        """As chat templates take it."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True)
class Example:
    """A prompt and what is known of its answer.

    Attributes
    ----------
    id : str
        Told apart from all others of its set.
    prompt : str or tuple of Message
        A text, or the turns before the answer.
    completion : str
        The answer to learn, the preferred one of a pair, the reference of an examination; "" where there is none and
        only a checker knows.
    rejected : str, optional
        The answer of a pair that is not preferred.
    facts : mapping
        What the checker of its family needs (a schema, unit tests, a number): plain JSON.
    """

    id: str
    prompt: str | tuple[Message, ...]
    completion: str = ""
    rejected: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
