"""What goes into the generator and comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from llm_experts.runtime.composition import BASE, Composition
from llm_experts.runtime.sampling import Sampling, TokenLogprob

FINISHED = ("stop", "length", "cancelled", "error")


class TooLongError(ValueError):
    """A prompt that the base's context has no room for."""


@dataclass(frozen=True)
class Generation:
    """One request.

    Attributes
    ----------
    id : str
        Told apart from all others that are not finished.
    prompt : tuple of int
        Token ids, at least one.
    composition : Composition
    sampling : Sampling
    """

    id: str
    prompt: tuple[int, ...]
    composition: Composition = BASE
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True)
class Piece:
    """What a step adds to the answer of one request.

    Attributes
    ----------
    id : str
    text : str
        Whole characters; none may be part of a stop string. May be empty.
    tokens : tuple of int
        Tokens of this step; the one that ends a text is not among them.
    logprobs : tuple of TokenLogprob
        Of these tokens, where they were asked for.
    finish : str, optional
        ``stop``, ``length``, ``cancelled`` or ``error``; None: it goes on.
    error : Exception, optional
        Why it ended with ``error``.
    """

    id: str
    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] = ()
    finish: str | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class GeneratorStats:
    """What a generator is doing.

    Attributes
    ----------
    rows : int
        Requests in the batch.
    waiting : int
        Requests that are not in the batch yet.
    tokens : int
        Tokens generated since the start.
    prefix_hits, prefix_tokens : int
        Requests whose prompt began as an earlier one, and tokens that were not computed again.
    cache_bytes : int
        Of keys and values of the rows.
    prefix_bytes : int
        Of keys and values that are kept for later prompts.
    """

    rows: int
    waiting: int
    tokens: int
    prefix_hits: int
    prefix_tokens: int
    cache_bytes: int
    prefix_bytes: int
