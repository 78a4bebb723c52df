"""What the engine answers, and why so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from serving.audit import AuditRecord

if TYPE_CHECKING:
    from llm_experts.runtime.sampling import TokenLogprob
    from serving.router import Route


@dataclass(frozen=True)
class Usage:
    """Tokens of a text; zeros for rows.

    Attributes
    ----------
    prompt_tokens, completion_tokens : int
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Both."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class RowAnswer:
    """Predictions of rows, in their order.

    Attributes
    ----------
    probabilities : tuple of float
        Of class 1.
    decisions : tuple of int
        In {0, 1}.
    thresholds : tuple of float
        Probability above which the decision is 1; a decision layer has moved probabilities so that it is one half.
    needs_group : bool
        Whether the groups of the rows decided.
    audit : AuditRecord
    """

    probabilities: tuple[float, ...]
    decisions: tuple[int, ...]
    thresholds: tuple[float, ...]
    needs_group: bool
    audit: AuditRecord


@dataclass(frozen=True)
class Answer:
    """An answer of the engine.

    Attributes
    ----------
    id : str
        That of the request's ticket; :meth:`serving.engine.ExpertEngine.feedback` takes it.
    text : str or None
        The continuation; None for rows.
    rows : RowAnswer or None
    experts : tuple of (str, float)
        Names and weights of what answered; empty for the base alone.
    why : str
        Why these: the router's reason, or that the request named them.
    route : Route or None
        What the router saw, when it was asked.
    finish : str
        ``stop`` or ``length``; a request that was given up has an error instead of an answer.
    usage : Usage
    logprobs : tuple of TokenLogprob
        Of the continuation's tokens, when asked for.
    latency : mapping of str to float
        Seconds: ``queue``, ``route``, ``load``, ``prefill``, ``decode`` (of rows: the prediction), ``total``.
    client : str
        Who asked.
    """

    id: str
    text: str | None
    rows: RowAnswer | None
    experts: tuple[tuple[str, float], ...]
    why: str
    route: Route | None = None
    finish: str = "stop"
    usage: Usage = Usage()
    logprobs: tuple[TokenLogprob, ...] = ()
    latency: Mapping[str, float] = field(default_factory=dict)
    client: str = ""
