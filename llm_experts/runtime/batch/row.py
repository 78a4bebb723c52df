"""A request in the batch: what it has read, said and drawn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from llm_experts.runtime.batch.drawing import Chooser
from llm_experts.runtime.batch.stopping import StopMatcher, TextStream
from llm_experts.runtime.generation import Generation, Piece
from llm_experts.runtime.prefix import Prefix
from llm_experts.runtime.sampling import TokenLogprob

VIRTUAL = -1
"""Stands for a virtual token among token ids."""


class Row:
    """A request that is being computed.

    Parameters
    ----------
    generation : Generation
    prefix : Prefix
        Virtual tokens ahead of its text.
    limit : int
        Most tokens of the answer.
    ends : collection of int
        Tokens that end a text.
    chooser : Chooser
    decode : callable
        Text of tokens.
    lease : ExitStack
        Closed when the request leaves: its adapters may be evicted then.
    fingerprint : str
        What its keys and values are kept under.

    Attributes
    ----------
    tokens : list of int
        Virtual tokens (-1), prompt and answer.
    filled : int
        Tokens whose keys and values are computed.
    """

    def __init__(
        self,
        generation: Generation,
        prefix: Prefix,
        limit: int,
        ends: frozenset[int],
        chooser: Chooser,
        decode: Callable[[Sequence[int]], str],
        lease: ExitStack,
        fingerprint: str,
    ) -> None:
        self.generation, self.prefix, self.limit = generation, prefix, limit
        self.tokens = [VIRTUAL] * prefix.length + list(generation.prompt)
        self.need = len(self.tokens) + limit
        self.filled, self.said = 0, 0
        self.chooser, self.lease, self.fingerprint = chooser, lease, fingerprint
        self.started = time.perf_counter()
        self.decoding_since = self.started
        self._ends = ends
        self._stream, self._stops = TextStream(decode), StopMatcher(generation.sampling.stop)

    @property
    def reading(self) -> int:
        """Tokens that are to be read before the last one, whose answer is the next token."""
        return len(self.tokens) - 1 - self.filled

    def say(self, token: int, logprob: TokenLogprob | None) -> Piece:
        """The next token was drawn."""
        if token in self._ends and not self.generation.sampling.ignore_eos:
            return self._piece((), (), self._rest(), "stop")
        self.tokens.append(token)
        self.chooser.note(token)
        self.said += 1
        text, stopped = self._stops.push(self._stream.push(token))
        noted = () if logprob is None else (logprob,)
        if stopped:
            return self._piece((token,), noted, text, "stop")
        if self.said >= self.limit:
            rest, stopped = self._stops.push(self._stream.flush())
            text += rest + self._stops.flush()
            return self._piece((token,), noted, text, "stop" if stopped else "length")
        return self._piece((token,), noted, text, None)

    def end(self, finish: str, error: Exception | None = None) -> Piece:
        """The request ends before its answer does; what was held back is given."""
        return Piece(self.generation.id, self._rest(), (), (), finish, error)

    def _rest(self) -> str:
        text, _ = self._stops.push(self._stream.flush())
        return text + self._stops.flush()

    def _piece(self, tokens: tuple[int, ...], noted: tuple[TokenLogprob, ...], text: str, finish: str | None) -> Piece:
        return Piece(self.generation.id, text, tokens, noted, finish)
