"""The engine: installed experts answer prompts and rows, alone or composed, through one queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from serving.answer import Answer
from serving.catalogue import Catalogue, ExpertInfo
from serving.request import AUTO, Experts, Message, Request
from serving.row_model import OpenRows
from serving.ticket import Ticket

if TYPE_CHECKING:
    import pandas as pd

    from llm_experts.runtime.resident import ResidentBase
    from llm_experts.runtime.sampling import Sampling
    from serving.router import Router


@dataclass(frozen=True)
class EngineSettings:
    """Bounds of an engine.

    Attributes
    ----------
    max_rows : int
        Texts that are generated at once.
    max_tokens : int, optional
        Longest prompt with its continuation; default: the base's context.
    max_waiting : int
        Requests that wait, of all kinds and clients together.
    patience : int
        Every so many turns the oldest waiting request comes first, whatever its priority: none waits forever.
    max_batch : int
        Most rows that requests about the same row expert are put together to.
    row_models : int
        Row experts that are kept in memory; the one asked longest ago goes.
    """

    max_rows: int = 16
    max_tokens: int | None = None
    max_waiting: int = 256
    patience: int = 16
    max_batch: int = 4096
    row_models: int = 8


@dataclass(frozen=True)
class EngineStats:
    """What an engine does now, and has done.

    Attributes
    ----------
    waiting, running : int
        Requests.
    answered : int
    refused : mapping of str to int
        By reason.
    tokens, rows : int
        Generated and predicted so far.
    rate : float
        Requests a second that ended lately.
    loaded : tuple of str
        Adapters and row experts in memory.
    prefix_hits, cache_bytes : int
        Of the prefix cache.
    telemetry_lost : int
        Answers that ``on_answer`` was too slow for, or failed on.
    """

    waiting: int
    running: int
    answered: int
    refused: Mapping[str, int]
    tokens: int
    rows: int
    rate: float
    loaded: tuple[str, ...]
    prefix_hits: int = 0
    cache_bytes: int = 0
    telemetry_lost: int = 0


class ExpertEngine:
    """Experts that answer. A context manager; ``benchmarks.models.open_engine`` makes one of what is installed.

    Parameters
    ----------
    resident : ResidentBase, optional
        The base with its slots; without one, only rows are answered.
    catalogue : callable
        What can be asked now, by name.
    open_rows : callable, optional
        Reads a row expert.
    router : Router, optional
        Chooses for ``experts="auto"``; without one the base answers.
    settings : EngineSettings
    on_answer : callable, optional
        Called with every answer on a thread of its own; what it raises or delays never touches a request.
    """

    def __init__(
        self,
        resident: ResidentBase | None = None,
        *,
        catalogue: Catalogue,
        open_rows: OpenRows | None = None,
        router: Router | None = None,
        settings: EngineSettings = EngineSettings(),
        on_answer: Callable[[Answer], None] | None = None,
    ) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(drain=kind is None)

    def close(self, *, drain: bool = True, timeout: float | None = None) -> None:
        """Take no more requests; finish those that are there, or refuse them (``closing``). May be called twice.

        Parameters
        ----------
        drain : bool
            Whether waiting and running requests are finished.
        timeout : float, optional
            Seconds after which what is left is refused.
        """
        raise NotImplementedError

    def infer(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[Message | Mapping[str, str]] | None = None,
        rows: pd.DataFrame | None = None,
        experts: Experts | Sequence[str] = AUTO,
        sampling: Sampling | None = None,
        priority: int = 0,
        client: str = "",
        timeout: float | None = None,
    ) -> Answer:
        """Ask and wait; arguments are those of :class:`serving.request.Request`, names without weights have weight 1.

        Raises
        ------
        ServingError
            Why there is no answer.
        """
        raise NotImplementedError

    def submit(self, request: Request) -> Ticket:
        """Put a request into the queue.

        Raises
        ------
        ServingError
            ``overloaded`` (with ``retry_after``), ``closing``, ``unknown-expert``, ``expert-gone``, ``no-base``,
            ``bad-request``, ``too-long``, ``undefined-composition``: what can be seen before it runs.
        """
        raise NotImplementedError

    def models(self) -> list[ExpertInfo]:
        """What can be asked: the base, ``auto``, adapters, row experts."""
        raise NotImplementedError

    def load(self, name: str) -> None:
        """Have an expert in memory before it is asked."""
        raise NotImplementedError

    def unload(self, name: str) -> None:
        """Let an expert go, after what runs on it has ended; it is loaded again when asked."""
        raise NotImplementedError

    def pin(self, name: str, pinned: bool = True) -> None:
        """Load an expert and keep it there, or no longer."""
        raise NotImplementedError

    def feedback(self, ticket: Ticket | str, won: bool) -> None:
        """Tell the router whether the experts that it chose for an answer were right.

        Raises
        ------
        ServingError
            ``bad-request`` if the request is not known (any more) or was not routed.
        """
        raise NotImplementedError

    def stats(self) -> EngineStats:
        """What it does now."""
        raise NotImplementedError
