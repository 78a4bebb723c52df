"""The worker for text: it chooses experts, holds their slots, and drives the one batch that all requests share."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from llm_experts.adapters.error import AdapterError
from llm_experts.runtime.batch.forward import NotFiniteError
from llm_experts.runtime.composition import Composition
from llm_experts.runtime.generator import (
    Generation,
    Generator,
    Piece,
    TooLongError,
    chat_stops,
    check_length,
    encode_chat,
    encode_prompt,
)
from llm_experts.runtime.resident import CompositionError, InUseError, ResidentBase, SlotsFullError
from llm_experts.runtime.sampling import Sampling
from serving.answer import Answer, Usage
from serving.catalogue import Entry
from serving.error import ServingError
from serving.request import TEXT
from serving.work.choice import Choice, Names, gone, named
from serving.work.refusal import Explain, refusal
from serving.work.settings import settings_of

if TYPE_CHECKING:
    from llm_experts.runtime.sampling import TokenLogprob
    from serving.router import Route, Router
    from serving.ticket import Ticket
    from serving.work.desk import Desk
    from serving.work.fair_queue import FairQueue

LOG = logging.getLogger(__name__)


@dataclass
class Running:
    """A request in the batch."""

    ticket: Ticket
    choice: Choice
    prompt_tokens: int
    lease: ExitStack
    latency: dict[str, float]
    text: list[str] = field(default_factory=list)
    tokens: int = 0
    logprobs: list[TokenLogprob] = field(default_factory=list)


class TextWorker:
    """Answers the lane ``text`` of the queue; all but :meth:`source` is called by one thread.

    A ticket's slots are leased before it enters the batch, so that whoever has to wait for slots keeps its turn.

    Parameters
    ----------
    queue : FairQueue of Ticket
    resident : ResidentBase
    make_generator : callable
        A new generator on it, also after one has failed.
    router : callable
        The router now, None without one.
    names : Names
    desk : Desk
    max_rows : int
        Texts at once.
    explain : Explain
    """

    def __init__(
        self,
        queue: FairQueue[Ticket],
        resident: ResidentBase,
        make_generator: Callable[[], Generator],
        router: Callable[[], Router | None],
        names: Names,
        desk: Desk,
        max_rows: int,
        explain: Explain,
    ) -> None:
        self._queue, self._resident, self._router, self._names = queue, resident, router, names
        self._make_generator, self._desk, self._max_rows, self._explain = make_generator, desk, max_rows, explain
        self._held: tuple[Ticket, Choice, dict[str, float]] | None = None  # waits for slots
        self.running: dict[str, Running] = {}
        self.generator = make_generator()

    def turn(self, timeout: float) -> bool:
        """Admit what there is room for, and go one step on; False if there was nothing to do for so long."""
        self._admit(timeout)
        self._drop_given_up()
        if self.generator.idle:
            return self._held is not None
        try:
            for piece in self.generator.step():
                self._deliver(piece)
        except Exception as error:  # noqa: BLE001 (a worker outlives every request)
            self._fail_all(error)
        return True

    def _admit(self, timeout: float) -> None:
        if self.generator.stats.waiting:
            return  # no memory for another row: the rest waits in the queue, where priorities are
        while len(self.running) < self._max_rows:
            if self._held is not None:
                if not self._start(*self._held):
                    return
                continue
            ticket = self._queue.take(TEXT, timeout if self.generator.idle else 0.0)
            if ticket is None:
                return
            latency = {"queue": time.monotonic() - ticket.made}
            if not self._desk.given_up(ticket) and (choice := self._chosen(ticket, latency)) is not None:
                self._start(ticket, choice, latency)

    def _chosen(self, ticket: Ticket, latency: dict[str, float]) -> Choice | None:
        """Its experts; None if it was refused."""
        started = time.monotonic()
        try:
            check_length(self._resident.base, ticket.request.texts)
            choice = named(ticket.request, self._names) or self._routed(ticket.request.text)
        except Exception as error:  # noqa: BLE001 (told to its client; a worker outlives every request)
            self._desk.end(ticket, self._refusal(error))
            return None
        latency["route"] = time.monotonic() - started
        return choice

    def _routed(self, text: str) -> Choice:
        router = self._router()
        if router is None:
            return Choice((), (), "there is no router: the base answers")
        route: Route = router.route(text)
        entries = tuple(self._names.entry(name) for name, _ in route.experts)
        return Choice(entries, tuple(weight for _, weight in route.experts), route.why, route)

    def _start(self, ticket: Ticket, choice: Choice, latency: dict[str, float]) -> bool:
        """Bring a request into the batch, or refuse it; False if it has to wait for slots."""
        self._held = None
        if self._desk.given_up(ticket):
            return True
        lease, started = ExitStack(), time.monotonic()
        try:
            composition = self._leased(choice, lease)
            latency["load"] = time.monotonic() - started
            tokens = self._encoded(ticket)
            self.generator.add(Generation(ticket.id, tuple(tokens), composition, self._sampling(ticket, choice)))
        except (SlotsFullError, InUseError) as error:
            lease.close()
            if not self.generator.idle:  # those that run, or are leaving, give their slots back
                self._held = ticket, choice, latency
                return False
            self._desk.end(ticket, ServingError("undefined-composition", str(error)))
        except Exception as error:  # noqa: BLE001 (told to its client; a worker outlives every request)
            lease.close()
            self._desk.end(ticket, self._gone(choice, error) or self._refusal(error))
        else:
            self.running[ticket.id] = Running(ticket, choice, len(tokens), lease, latency)
        return True

    def _leased(self, choice: Choice, lease: ExitStack) -> Composition:
        composition = Composition.of(dict(choice.experts))
        for entry in choice.entries:
            self.source(self._names.entry(entry.name))  # it may have gone, or changed, while the request waited
        lease.enter_context(self._resident.lease([composition]))
        return composition

    def source(self, entry: Entry) -> None:
        """Tell the slots where an adapter lies; a changed one is read anew."""
        assert entry.source is not None
        self._resident.known(entry.name, entry.source, order=entry.order, base_hash=entry.base)

    def _encoded(self, ticket: Ticket) -> list[int]:
        base, request = self._resident.base, ticket.request
        if request.messages is not None:
            return encode_chat(base, [message.as_mapping() for message in request.messages])
        return encode_prompt(base, request.prompt or "")

    def _sampling(self, ticket: Ticket, choice: Choice) -> Sampling:
        """A conversation also ends where the base's plain template would begin the user's next turn."""
        request, base = ticket.request, self._resident.base
        stops = chat_stops(base) if request.messages is not None else ()
        how = settings_of(request, choice)
        return replace(how, stop=(*how.stop, *stops)) if stops else how

    def _deliver(self, piece: Piece) -> None:
        running = self.running.get(piece.id)
        if running is None:
            return
        running.text.append(piece.text)
        running.tokens += len(piece.tokens)
        running.logprobs.extend(piece.logprobs)
        if piece.finish == "error":
            error = piece.error or RuntimeError("the generator gave no reason")
            self._leave(running, self._gone(running.choice, error) or self._refusal(error))
            return
        running.ticket.give(piece)
        if piece.finish is not None:
            self._leave(running, self._answer(running, piece.finish))

    def _answer(self, running: Running, finish: str) -> Answer:
        ticket, choice = running.ticket, running.choice
        latency = _phases(running.latency, self.generator.timing(ticket.id))
        latency["total"] = time.monotonic() - ticket.made
        return Answer(
            ticket.id, "".join(running.text), None, choice.experts, choice.why, choice.route, finish,
            Usage(running.prompt_tokens, running.tokens), tuple(running.logprobs), latency, ticket.request.client,
        )  # fmt: skip

    def _leave(self, running: Running, how: Answer | ServingError) -> None:
        self.running.pop(running.ticket.id, None)
        running.lease.close()
        self._desk.end(running.ticket, how)

    def _drop_given_up(self) -> None:
        for running in list(self.running.values()):
            if self._desk.given_up(running.ticket):
                self.generator.cancel(running.ticket.id)
                self.running.pop(running.ticket.id)
                running.lease.close()

    def _fail_all(self, error: Exception) -> None:
        LOG.error("A step of the batch failed; %d requests end with it.", len(self.running), exc_info=error)
        for running in list(self.running.values()):
            self._leave(running, self._refusal(error))
        self.generator = self._make_generator()

    def _gone(self, choice: Choice, error: Exception) -> ServingError | None:
        """Why a request ends whose expert was uninstalled between its start and its first token; None of another."""
        if not isinstance(error, AdapterError) or isinstance(error, (CompositionError, SlotsFullError)):
            return None
        there = self._resident.names
        for entry in choice.entries:
            if entry.name not in there:
                return gone(entry.name)
        return None

    def _refusal(self, error: Exception) -> ServingError:
        if isinstance(error, TooLongError):
            return ServingError("too-long", str(error))
        if isinstance(error, (CompositionError, SlotsFullError, NotFiniteError)):
            return ServingError("undefined-composition", str(error))
        return refusal(error, self._explain)


def _phases(latency: Mapping[str, float], timing: Mapping[str, float]) -> dict[str, float]:
    found = {name: latency.get(name, 0.0) for name in ("queue", "route", "load")}
    found["queue"] += timing.get("queue", 0.0)
    return {**found, "prefill": timing.get("prefill", 0.0), "decode": timing.get("decode", 0.0)}
