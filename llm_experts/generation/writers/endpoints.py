"""Endpoints asked in turn, within what may be spent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foundation.seeding import derive_seed
from llm_experts.generation.writers.asking import Request
from llm_experts.generation.writers.cache import ReplyCache
from llm_experts.generation.writers.endpoint import Endpoint
from llm_experts.generation.writers.writer import Answer


class Endpoints:
    """What :class:`~llm_experts.generation.writers.writer.Writer` asks: one block the first, the next the second.

    Parameters
    ----------
    endpoints : sequence of Endpoint
    cache : ReplyCache
    max_requests : int or None
        Requests at most; answers from the cache are none.

    Attributes
    ----------
    requests : int
        Made so far.
    paid : float
        Dollars for them; :attr:`Writer.spent` has answers from the cache at their price as well.
    """

    def __init__(self, endpoints: Sequence[Endpoint], cache: ReplyCache, max_requests: int | None = None) -> None:
        self.stopped, self.requests, self.paid = "", 0, 0.0
        self._endpoints, self._cache, self._most = endpoints, cache, max_requests

    def ask(self, request: Request, attempt: int, left: float | None) -> Answer | None:
        """The answer to a request; None where it is not in the cache and beyond what may be spent."""
        endpoint = self._endpoints[request.block % len(self._endpoints)]
        body = _body(endpoint, request, attempt)
        named = {"url": endpoint.settings.address, "attempt": attempt, **body}
        reply = self._cache.get(named)
        if reply is None:
            self.stopped = self._beyond(endpoint, request, left)
            if self.stopped:
                return None
            self.requests += 1
            reply = endpoint.ask(body, derive_seed(request.seed, "ask", request.block, attempt))
            self._cache.put(named, reply)
            self.paid += endpoint.settings.cost.of(reply.read, reply.written)
        return Answer(reply.text, endpoint.settings.cost.of(reply.read, reply.written))

    def _beyond(self, endpoint: Endpoint, request: Request, left: float | None) -> str:
        """Why a request may not be made: what it could cost, with all that could get lost, is more than is left."""
        if self._most is not None and self.requests >= self._most:
            return "requests"
        if left is None:
            return ""
        settings = endpoint.settings
        most = settings.cost.most(tuple(turn.content for turn in request.messages), settings.longest)
        lost = sum(other.lost for other in self._endpoints)
        return "budget" if most * (1 + lost) > left else ""


def _body(endpoint: Endpoint, request: Request, attempt: int) -> dict[str, Any]:
    """The arguments of the request."""
    settings = endpoint.settings
    return {
        "model": settings.model,
        "messages": [turn.as_mapping() for turn in request.messages],
        "response_format": {"type": "json_object"},
        "temperature": settings.temperature,
        "max_tokens": settings.longest,
        "seed": derive_seed(request.seed, "endpoint", request.block, attempt) % 2**31,
    }
