"""The engine: installed experts answer prompts and rows, alone or composed, through one queue."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from llm_experts.data.example import Message
from llm_experts.runtime.sampling import Sampling
from serving.answer import Answer
from serving.catalogue import Catalogue, Entry, ExpertInfo, Kind
from serving.error import ServingError
from serving.request import AUTO, DECODING, TEXT, Experts, Request
from serving.row_model import OpenRows, RowModel
from serving.ticket import Ticket
from serving.work.choice import Choice, Names, named
from serving.work.desk import Desk
from serving.work.fair_queue import FairQueue
from serving.work.observer import Observer
from serving.work.priorities import Priorities
from serving.work.refusal import Explain, refusal
from serving.work.row_models import RowModels
from serving.work.row_worker import RowWorker

if TYPE_CHECKING:
    import pandas as pd

    from llm_experts.runtime.resident import ResidentBase
    from serving.router import Router
    from serving.work.text_worker import TextWorker

LOG = logging.getLogger(__name__)
IDLE = 0.2
"""Seconds that a worker waits for requests before it looks around."""
SWEEP = 0.05
"""Seconds between looks at who gave up while waiting."""
GRACE = 5.0
"""Seconds that closing waits for what should end at once."""


def explain_value_error(error: Exception) -> str | None:
    """The text of a ValueError, as errors that users can mend are such here; None of another."""
    return " ".join(str(error).split()) if isinstance(error, ValueError) else None


@dataclass(frozen=True)
class EngineSettings:
    """Bounds of an engine.

    Attributes
    ----------
    max_rows : int
        Texts that are generated at once.
    max_tokens : int, optional
        Texts at once times tokens of the longest, prompt and answer: bounds the memory of keys and values. Default:
        512 a text, and never less than the base's context.
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
    router : Router, or a callable that gives the one of now, optional
        Chooses for ``experts="auto"``; without one the base answers.
    settings : EngineSettings
    on_answer : callable, optional
        Called with every answer on a thread of its own; what it raises or delays never touches a request.
    explain : Explain
        The paragraph of an error that users can mend (told as ``bad-request``), None of another (``internal``).
    closed_with : ExitStack, optional
        What is closed after the engine.
    """

    def __init__(
        self,
        resident: ResidentBase | None = None,
        *,
        catalogue: Catalogue,
        open_rows: OpenRows | None = None,
        router: Router | Callable[[], Router | None] | None = None,
        settings: EngineSettings = EngineSettings(),
        on_answer: Callable[[Answer], None] | None = None,
        explain: Explain = explain_value_error,
        closed_with: ExitStack | None = None,
    ) -> None:
        self._settings, self._resident, self._explain = settings, resident, explain
        self._priorities = Priorities(router if callable(router) else lambda: router)
        self._router: Callable[[], Router | None] = self._priorities.router
        self._routes = router is not None
        self._closed_with = closed_with or ExitStack()
        self._observer = None if on_answer is None else Observer(on_answer)
        self._desk, self._names = Desk(self._observer), Names(catalogue)
        self._queue: FairQueue[Ticket] = FairQueue(settings.max_waiting, settings.patience)
        self._models = RowModels(open_rows, settings.row_models)
        self._closing, self._stop, self._swept = False, threading.Event(), 0.0
        self._unreadable = False
        self._lock = threading.Lock()
        self._names.now()  # what is there at the start is not unknown later
        rows = RowWorker(self._queue, self._models, self._names, self._desk, settings.max_batch, explain)
        self._text = None if resident is None else self._text_worker(resident, explain)
        turns = [rows.turn] if self._text is None else [rows.turn, self._text.turn]
        self._threads = [threading.Thread(target=self._run, args=(turn,), daemon=True) for turn in turns]
        for thread in self._threads:
            thread.start()

    def _text_worker(self, resident: ResidentBase, explain: Explain) -> TextWorker:
        from llm_experts.runtime.generator import Generator
        from serving.work.text_worker import TextWorker

        bounds = self._settings

        def make() -> Generator:
            return Generator(resident, max_rows=bounds.max_rows, max_tokens=bounds.max_tokens)

        return TextWorker(self._queue, resident, make, self._router, self._names, self._desk, bounds.max_rows, explain)

    def _run(self, turn: Callable[[float], bool]) -> None:
        while not self._stop.is_set():
            try:
                self._sweep()
                turn(IDLE)
            except Exception:  # without its worker every request would wait forever
                LOG.exception("A turn of the engine failed; it goes on.")
                self._stop.wait(IDLE)

    def _sweep(self) -> None:
        """End what was given up while it waited; let go what was uninstalled."""
        now = time.monotonic()
        if now - self._swept < SWEEP:
            return
        self._swept = now
        self._forget_gone()
        for ticket in self._queue.take_all(lambda each: now > each.deadline):
            self._desk.given_up(ticket)

    def _forget_gone(self) -> None:
        """Let experts go that are no longer installed; keep all while that cannot be read."""
        try:
            there = {name for name, entry in self._names.now().items() if not entry.fault}
        except ServingError as error:
            if not self._unreadable:
                LOG.error("%s Requests that name experts are refused until it can.", error.text, exc_info=error)
            self._unreadable = True
            return
        self._unreadable = False
        self._models.keep_only(there)
        self._priorities.keep_only(there)
        if self._resident is not None:
            for name in set(self._resident.names) - there:
                self._resident.forget(name)  # requests that run keep it

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
        with self._lock:
            self._closing = True
        if not drain:
            self._end_all()
        self._desk.wait_empty(timeout)
        self._stop.set()
        self._queue.wake()
        for thread in self._threads:
            thread.join()
        self._end_all()
        if self._observer is not None:
            self._observer.close(GRACE)
        self._closed_with.close()

    def _end_all(self) -> None:
        closing = ServingError("closing", "The engine was closed before this request was answered; ask again.", GRACE)
        self._queue.take_all(lambda _: True)
        for ticket in self._desk.open():
            self._desk.end(ticket, closing)

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

        Without ``sampling`` the packages of the experts say how text is generated, and otherwise it is greedy.

        Raises
        ------
        ServingError
            Why there is no answer.
        """
        listed = not (experts is None or isinstance(experts, (str, Mapping)))
        asked = cast(Experts, dict.fromkeys(cast(Sequence[str], experts), 1.0) if listed else experts)
        request = Request(
            prompt, None if messages is None else tuple(map(_message, messages)), rows, asked, sampling or Sampling(),
            priority, client, timeout, DECODING if sampling is None else frozenset(),
        )  # fmt: skip
        ticket = self.submit(request)
        try:
            return ticket.result()
        except BaseException:
            ticket.cancel()  # Ctrl-C in a shell: nobody waits for it any more
            raise

    def submit(self, request: Request) -> Ticket:
        """Put a request into the queue.

        Raises
        ------
        ServingError
            What can be seen before it runs: ``overloaded`` (with ``retry_after``), ``closing``, ``unknown-expert``,
            ``expert-gone``, ``no-base``, ``bad-request``, ``undefined-composition``; ``internal`` if the list of
            experts cannot be read. The rest ends the ticket.
        """
        try:
            return self._taken(request)
        except ServingError as error:
            self._desk.refused(error)
            raise

    def _taken(self, request: Request) -> Ticket:
        if request.lane == TEXT and self._text is None:
            raise ServingError("no-base", "This engine has no base, so it answers rows alone; open it with a base.")
        self._check_base(named(request, self._names), request)
        ticket = Ticket(request, self._cancel)
        with self._lock:
            if self._closing:
                raise ServingError("closing", "The engine is being closed and takes no more requests.", GRACE)
            self._desk.enter(ticket)  # ahead of the queue, whose worker may end it at once
            waits, pushed = self._queue.put(ticket, lane=request.lane, priority=request.priority, client=request.client)
            if not waits:
                self._desk.leave(ticket)
        for refused in [pushed] if waits else [ticket]:
            if refused is not None:
                error = self._overloaded()
                if refused is ticket:
                    raise error
                self._desk.end(refused, error)
        return ticket

    def check_text(self, experts: Experts) -> None:
        """Refuse experts that cannot answer text here, before anything is asked.

        Parameters
        ----------
        experts : mapping, "auto" or None
            As of a request.

        Raises
        ------
        ServingError
            ``unknown-expert``, ``expert-gone``, ``bad-request``.
        """
        request = Request(prompt="", experts=experts)
        self._check_base(named(request, self._names), request)

    def _check_base(self, choice: Choice | None, request: Request) -> None:
        if choice is None or request.rows is not None or self._resident is None:
            return
        for entry in choice.entries:
            if not self._of_this_base(entry):
                raise self._other_base(entry)

    def _other_base(self, entry: Entry) -> ServingError:
        here = "" if self._resident is None else self._resident.base.id
        return ServingError(
            "bad-request",
            f"Expert {entry.name!r} was trained on another base than {here}, which answers here; "
            f"'fairmoe info {entry.name}' names its base.",
        )

    def _of_this_base(self, entry: Entry) -> bool:
        return self._resident is not None and entry.base in ("", self._resident.base.hash)

    def _overloaded(self) -> ServingError:
        after = self._desk.rate.retry_after(len(self._queue))
        text = f"{self._queue.limit} requests wait already. Ask again in about {after:.0f} s, or send fewer at once."
        return ServingError("overloaded", text, after)

    def _cancel(self, ticket: Ticket) -> None:
        self._queue.take_all(lambda other: other is ticket)
        self._desk.left(ticket)

    def models(self) -> list[ExpertInfo]:
        """What can be asked: the base, ``auto``, adapters of this base, row experts."""
        infos, base = [], self._resident
        if base is not None:
            infos.append(ExpertInfo("base", "base", True, True, "the base model alone", base.base.id))
            infos.append(ExpertInfo(AUTO, "auto", True, True, "the router chooses experts", base.base.id))
        there = sorted(self._names.now().values(), key=lambda entry: entry.name)
        loaded, pinned = set(self._loaded()), self._models.pinned
        return [*infos, *(self._info(entry, loaded, pinned) for entry in there if self._can_answer(entry))]

    def _can_answer(self, entry: Entry) -> bool:
        if entry.fault or entry.answers_rows:
            return not entry.fault
        return self._of_this_base(entry)

    def _info(self, entry: Entry, loaded: Set[str], pinned: Set[str]) -> ExpertInfo:
        texts = entry.kind == "adapter" and self._of_this_base(entry)
        base = self._resident.base.id if texts and self._resident is not None else ""
        held, stays = entry.name in loaded, entry.name in pinned
        kind: Kind = "adapter" if texts else "rows"
        priority = self._priorities.of(entry) if texts and self._routes else None
        return ExpertInfo(entry.name, kind, held, stays, entry.description, base, entry.version, entry.trust, priority)

    def _loaded(self) -> tuple[str, ...]:
        adapters = () if self._resident is None else tuple(self._resident.loaded)
        return (*adapters, *self._models.loaded)

    def load(self, name: str) -> None:
        """Have an expert in memory before it is asked.

        Raises
        ------
        ServingError
            ``unknown-expert``, ``expert-gone``, ``no-base``; ``bad-request`` for an adapter of another base;
            ``bad-request`` or ``internal`` for a row expert that cannot be read.
        AdapterError
            If an adapter cannot be read, or no slot is free.
        """
        entry = self._names.entry(name)
        if entry.source is not None and self._text is not None and self._of_this_base(entry):
            self._slotted(entry)
        elif entry.answers_rows:
            self._row_model(entry)
        elif self._resident is not None:
            raise self._other_base(entry)
        else:
            raise ServingError("no-base", f"{name} is an adapter, and this engine has no base; open it with its base.")

    def row_model(self, name: str) -> RowModel:
        """The row model of an expert, read if it is not in memory.

        Raises
        ------
        ServingError
            As :meth:`load`; ``bad-request`` if it answers text alone.
        """
        entry = self._names.entry(name)
        if not entry.answers_rows:
            raise ServingError("bad-request", f"{name} answers text: send a prompt, or name another expert.")
        return self._row_model(entry)

    def _row_model(self, entry: Entry) -> RowModel:
        try:
            return self._models.get(entry)
        except ServingError:
            raise
        except Exception as error:
            raise refusal(error, self._explain) from error

    def _slotted(self, entry: Entry) -> None:
        assert self._text is not None
        assert self._resident is not None
        self._text.source(entry)
        if entry.name not in self._resident.loaded:
            self._resident.load(entry.name)

    def unload(self, name: str) -> None:
        """Let an expert go, unless something runs on it; it is loaded again when asked."""
        self._models.drop(name)
        if self._resident is not None and name in self._resident.loaded:
            self._resident.unpin(name)
            self._resident.unload(name)

    def pin(self, name: str, pinned: bool = True) -> None:
        """Load an expert and keep it there, or no longer."""
        if pinned:
            self.load(name)
        self._models.pin(name, pinned)
        if self._resident is not None and name in self._resident.loaded:
            (self._resident.pin if pinned else self._resident.unpin)(name)

    def prioritise(self, name: str, priority: float | None) -> None:
        """Say by how much ``auto`` prefers an expert, until the engine closes or the expert is uninstalled.

        Requests that are chosen for from now on follow it. It takes the place of the priority of the package in the
        router: a shift of ``2 * (priority - 0.5)`` of the log-odds of an expert that fits, if the router asks its
        policy of priorities, and otherwise who goes first of those that fit equally.

        Parameters
        ----------
        name : str
        priority : float in [0, 1], or None
            None is what the package says.

        Raises
        ------
        ServingError
            ``unknown-expert``, ``expert-gone``; ``bad-request`` for a number out of bounds, for what ``auto`` does not
            choose (rows, adapters of another base), and if there is no router.
        """
        entry = self._names.entry(name)
        if not self._routes:
            raise ServingError("bad-request", "This engine has no router, so no priority changes who answers.")
        if entry.kind != "adapter":
            raise ServingError(
                "bad-request", f"{name} answers rows; 'auto' chooses for prompts, so it has no priority."
            )
        if not self._of_this_base(entry):
            raise self._other_base(entry)
        self._priorities.set(name, priority)

    def feedback(self, ticket: Ticket | str, won: bool) -> None:
        """Tell the router whether the experts that it chose for an answer were right.

        Raises
        ------
        ServingError
            ``bad-request`` if the request is not known (any more), was not routed, or has had its feedback.
        """
        id = ticket if isinstance(ticket, str) else ticket.id
        experts, router = self._desk.routed(id), self._router()
        if experts is None or router is None:
            raise ServingError(
                "bad-request", "No routed answer of this id waits for feedback; each takes it once, and not forever."
            )
        for name in experts or ("base",):
            router.feedback(name, won)
        self._desk.judged(id)

    def stats(self) -> EngineStats:
        """What it does now."""
        answered, refused, tokens, rows = self._desk.counts()
        waiting = len(self._queue)
        told = None if self._text is None else self._text.generator.stats
        return EngineStats(
            waiting, max(0, len(self._desk.open()) - waiting), answered, refused, tokens, rows,
            self._desk.rate.per_second(), self._loaded(), 0 if told is None else told.prefix_hits,
            0 if told is None else told.cache_bytes, 0 if self._observer is None else self._observer.lost,
        )  # fmt: skip


def _message(given: Message | Mapping[str, str]) -> Message:
    if isinstance(given, Message):
        return given
    if set(given) != {"role", "content"}:
        named = ", ".join(sorted(given)) or "nothing"
        raise ServingError("bad-request", f"A message has role and content, not {named}.")
    return Message(given["role"], given["content"])
