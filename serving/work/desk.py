"""The books of the engine: which requests run, how they ended, and who must be told."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

from serving.answer import Answer
from serving.error import ServingError
from serving.work.rate import Rate

if TYPE_CHECKING:
    from serving.ticket import Ticket
    from serving.work.observer import Observer

REMEMBERED = 10_000
"""Answers whose experts are kept for feedback."""


class Desk:
    """Counts requests and ends them, each once; safe between threads.

    Parameters
    ----------
    observer : Observer, optional
        Sees every answer.
    """

    def __init__(self, observer: Observer | None = None) -> None:
        self.rate = Rate()
        self._observer, self._lock = observer, threading.Condition()
        self._open: dict[str, Ticket] = {}
        self._refused: Counter[str] = Counter()
        self._routed: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._answered = self._tokens = self._rows = 0

    def enter(self, ticket: Ticket) -> None:
        """A request has been taken."""
        with self._lock:
            self._open[ticket.id] = ticket

    def leave(self, ticket: Ticket) -> None:
        """A request was not taken after all."""
        with self._lock:
            self._open.pop(ticket.id, None)

    def refused(self, error: ServingError) -> None:
        """A request was not taken."""
        with self._lock:
            self._refused[error.reason] += 1

    def end(self, ticket: Ticket, how: Answer | ServingError) -> None:
        """End a request; nothing happens if it has ended."""
        if not ticket.end(how):
            return
        self.rate.ended()
        with self._lock:
            self._open.pop(ticket.id, None)
            if isinstance(how, Answer):
                self._count(how)
            else:
                self._refused[how.reason] += 1
            self._lock.notify_all()
        if isinstance(how, Answer) and self._observer is not None:
            self._observer.see(how)

    def left(self, ticket: Ticket) -> None:
        """End a request whose client has left."""
        self.end(ticket, ServingError("cancelled", "The client left before it was answered."))

    def given_up(self, ticket: Ticket) -> bool:
        """Whether a request has ended; one whose client has left, or whose time is over, ends here."""
        if ticket.cancelled:
            self.left(ticket)
        elif time.monotonic() > ticket.deadline:
            text = f"No answer within {ticket.request.timeout:g} s. Ask again later, ask for less, or allow more time."
            self.end(ticket, ServingError("timeout", text))
        return ticket.done

    def _count(self, answer: Answer) -> None:
        self._answered += 1
        self._tokens += answer.usage.completion_tokens
        self._rows += 0 if answer.rows is None else len(answer.rows.decisions)
        if answer.route is not None:
            self._routed[answer.id] = tuple(name for name, _ in answer.experts)
            while len(self._routed) > REMEMBERED:
                self._routed.popitem(last=False)

    def routed(self, id: str) -> tuple[str, ...] | None:
        """The experts of a routed answer, if it is remembered; its texts and rows are not."""
        with self._lock:
            return self._routed.get(id)

    def judged(self, id: str) -> None:
        """A routed answer has had its feedback: whoever repeats it must not outweigh others."""
        with self._lock:
            self._routed.pop(id, None)

    def open(self) -> list[Ticket]:
        """Requests that have not ended."""
        with self._lock:
            return list(self._open.values())

    def wait_empty(self, timeout: float | None) -> bool:
        """Wait until every request has ended; False if time was up."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._open, timeout)

    def counts(self) -> tuple[int, dict[str, int], int, int]:
        """Answered requests, refused ones by reason, tokens, rows."""
        with self._lock:
            return self._answered, dict(self._refused), self._tokens, self._rows
