"""What is asked of the engine: a prompt, a conversation, or rows; of which experts, how urgently, for whom."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from llm_experts.data.example import Message
from llm_experts.runtime.sampling import Sampling
from serving.error import ServingError

if TYPE_CHECKING:
    import pandas as pd

HALF = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which is no character."""
AUTO: Literal["auto"] = "auto"
TEXT, ROWS = "text", "rows"
"""Lanes of the queue: what a worker answers."""
ROLES = ("system", "user", "assistant", "tool")
DECODING = frozenset({"temperature", "top_p", "top_k", "max_new_tokens", "stop"})
"""Settings of a request's sampling that packages of experts give defaults of."""
Experts = Mapping[str, float] | Literal["auto"] | None


@dataclass(frozen=True)
class Request:
    """One request; exactly one of ``prompt``, ``messages`` and ``rows`` is given.

    Attributes
    ----------
    prompt : str, optional
        Text that is continued as it is, without a chat template.
    messages : tuple of Message, optional
        A conversation; the base's chat template makes the prompt.
    rows : DataFrame, optional
        Raw rows of one row expert.
    experts : mapping of str to float, "auto" or None
        Names and weights; ``auto``: the router chooses (of rows: the one expert whose columns they have); None: the
        base alone.
    sampling : Sampling
        Of text; greedy by default.
    priority : int
        Higher ones first.
    client : str
        Who asks: clients of the same priority take turns.
    timeout : float, optional
        Seconds after which it is given up, wherever it is.
    left_open : frozenset of str
        Of :data:`DECODING`: settings that nobody asked for, so that the packages of its experts decide; what they do
        not say is as in ``sampling``.
    longest : int, optional
        Most tokens of an answer that a package may ask for.

    Raises
    ------
    ServingError
        ``bad-request``: not exactly one input, or no rows, no messages, an unknown role, a timeout that is none; a
        field of another type.
    """

    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    rows: pd.DataFrame | None = None
    experts: Experts = None
    sampling: Sampling = field(default_factory=Sampling)
    priority: int = 0
    client: str = ""
    timeout: float | None = None
    left_open: frozenset[str] = frozenset()
    longest: int | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("prompt", "messages", "rows") if getattr(self, name) is not None]
        if len(given) != 1:
            raise _bad(f"Give one of prompt, messages and rows; given: {', '.join(given) or 'none'}.")
        self._check_types()
        if self.messages is not None:
            _check_messages(self.messages)
        if self.rows is not None and not len(self.rows):
            raise _bad("There is no row to predict; send at least one.")
        if isinstance(self.experts, str) and self.experts != AUTO:
            raise _bad(f"experts are names with weights, or {AUTO!r}, not {self.experts!r}.")
        if not self.left_open <= DECODING:
            unknown = sorted(self.left_open - DECODING)[0]
            raise _bad(f"There is no setting {unknown!r} to leave open; there are {', '.join(sorted(DECODING))}.")
        if self.timeout is not None and not self.timeout > 0:
            raise _bad(f"A timeout is a number of seconds above 0, not {self.timeout}.")

    def _check_types(self) -> None:
        """What is of another type would end in the middle of a batch, or hold up the queue."""
        for name, kind in (("prompt", str), ("messages", tuple), ("sampling", Sampling), ("client", str)):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise _bad(f"{name} is a {kind.__name__}, not a {type(value).__name__}.")
        if isinstance(self.priority, bool) or not isinstance(self.priority, int):
            raise _bad(f"priority is a whole number, not {self.priority!r}.")
        if self.timeout is not None and not isinstance(self.timeout, int | float):
            raise _bad(f"timeout is a number of seconds, not {self.timeout!r}.")
        if self.rows is not None and not hasattr(self.rows, "columns"):
            raise _bad(f"rows are a DataFrame with the raw columns, not a {type(self.rows).__name__}.")
        for text in self.texts:
            if not isinstance(text, str) or HALF.search(text):
                raise _bad("A prompt or a message is text in whole characters; one of these is not.")

    @property
    def lane(self) -> str:
        """Which worker answers it."""
        return TEXT if self.rows is None else ROWS

    @property
    def texts(self) -> tuple[str, ...]:
        """All that makes the prompt; none for rows."""
        if self.messages is None:
            return () if self.prompt is None else (self.prompt,)
        return tuple(message.content for message in self.messages)

    @property
    def text(self) -> str:
        """What a router reads: the prompt, or the last turn of the user; empty for rows."""
        if self.messages is None:
            return self.prompt or ""
        said = [message.content for message in self.messages if message.role == "user"]
        return said[-1] if said else self.messages[-1].content


def _check_messages(messages: tuple[Message, ...]) -> None:
    if not messages:
        raise _bad("There is no message; send at least one of the user.")
    unknown = sorted({message.role for message in messages} - set(ROLES))
    if unknown:
        raise _bad(f"There is no role {unknown[0]!r}; roles are {', '.join(ROLES)}.")


def _bad(text: str) -> ServingError:
    return ServingError("bad-request", text)
