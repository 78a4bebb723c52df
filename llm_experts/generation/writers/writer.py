"""A provider whose items a language model writes, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from llm_experts.generation.draft import Draft
from llm_experts.generation.spec import DataSpec, Topic
from llm_experts.generation.writers.answers import MalformedError, drafts_of, fault, items_in
from llm_experts.generation.writers.asking import Request, request_for

TRIES = 3
"""Answers that are asked for until one can be read."""


class Answer(NamedTuple):
    """A model's answer, and what it cost."""

    text: str
    dollars: float = 0.0


class Asker(Protocol):
    """What is asked.

    Attributes
    ----------
    stopped : str
        Why the last request was not made; "" where it was.
    """

    stopped: str

    def ask(self, request: Request, attempt: int, left: float | None) -> Answer | None:
        """The answer number ``attempt`` to a request, which costs at most ``left`` dollars; None if it is not asked."""
        ...


class Block(NamedTuple):
    """The drafts of a request, and what its answers cost."""

    drafts: list[Draft]
    dollars: float


class Writer:
    """A provider that asks a language model for ``items`` items at a time.

    Blocks are numbered from the first draft of a topic and difficulty on, so that a draft is of the same block whoever
    asks for it. What a block costs is counted with its first draft.

    Parameters
    ----------
    name : str
    asker : Asker
    identity : mapping
        What its answers depend on.
    items : int
    """

    def __init__(
        self,
        name: str,
        asker: Asker,
        identity: Mapping[str, Any],
        *,
        items: int,
    ) -> None:
        self.name, self.stopped, self.spent = name, "", 0.0
        self._asker, self._items = asker, items
        self._identity = {**identity, "items": items}
        self._bound: float | None = None
        self._last: tuple[object, Block] | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What its answers depend on."""
        return dict(self._identity)

    def allow(self, dollars: float | None) -> None:
        """Nothing is asked from now on that could bring ``spent`` above ``dollars``."""
        self._bound = dollars

    def drafts(self, spec: DataSpec, topic: Topic, count: int, seed: int, start: int) -> Iterator[Draft]:
        """Drafts number ``start`` to ``start + count - 1``; fewer where the next request is beyond a bound."""
        self.stopped = ""
        at, end = start, start + count
        while at < end:
            number = at // self._items
            block = self._block(spec, topic, seed, number)
            if block is None:
                self.stopped = self._asker.stopped
                return
            first = number * self._items
            self.spent += block.dollars if at == first else 0.0
            yield from block.drafts[at - first : end - first]
            at = first + self._items

    def _block(self, spec: DataSpec, topic: Topic, seed: int, number: int) -> Block | None:
        key = (spec, topic, seed, number)
        if self._last is None or self._last[0] != key:
            made = self._written(request_for(spec, topic, self._items, number, seed))
            if made is None:
                return None
            self._last = key, made
        return self._last[1]

    def _written(self, request: Request) -> Block | None:
        dollars, why, text = 0.0, "", ""
        for attempt in range(TRIES):
            left = None if self._bound is None else self._bound - self.spent - dollars
            answer = self._asker.ask(request, attempt, left)
            if answer is None:
                return None
            dollars, text = dollars + answer.dollars, answer.text
            try:
                return Block(drafts_of(request, items_in(text)), dollars)
            except MalformedError as error:
                why = str(error)
        return Block([fault(request, place, why, text) for place in range(request.count)], dollars)
