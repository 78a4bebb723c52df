"""A request on its way: its pieces as they come, its answer, and the way to give it up."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from serving.error import ServingError

if TYPE_CHECKING:
    from llm_experts.runtime.generator import Piece
    from serving.answer import Answer
    from serving.request import Request

Listener = Callable[["Piece | Answer | ServingError"], None]


class Ticket:
    """What a client holds of a request. Every ticket ends: with an answer or with an error.

    Parameters
    ----------
    request : Request
    on_cancel : callable, optional
        Called once when the client gives it up.

    Attributes
    ----------
    id : str
    request : Request
    made : float
        When, on the monotonic clock.
    """

    def __init__(self, request: Request, on_cancel: Callable[[Ticket], None] | None = None) -> None:
        self.id, self.request, self.made = f"req-{uuid.uuid4().hex}", request, time.monotonic()
        self._on_cancel, self._changed = on_cancel, threading.Condition()
        self._pieces: deque[Piece] = deque()
        self._end: Answer | ServingError | None = None
        self._listener: Listener | None = None
        self._cancelled = False

    @property
    def deadline(self) -> float:
        """When it is given up, on the monotonic clock."""
        return float("inf") if self.request.timeout is None else self.made + self.request.timeout

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._end is not None

    @property
    def cancelled(self) -> bool:
        """Whether its client has left."""
        return self._cancelled

    def __iter__(self) -> Iterator[Piece]:
        """Pieces of the text as they come, each once; none for rows.

        Raises
        ------
        ServingError
            If it was refused or given up, after the pieces before.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pieces or self.done)
                if not self._pieces:
                    if isinstance(self._end, ServingError):
                        raise self._end
                    return
                piece = self._pieces.popleft()
            yield piece

    def result(self, timeout: float | None = None) -> Answer:
        """The answer, when it is there.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait here; the request itself goes on.

        Raises
        ------
        ServingError
            Why there is none.
        TimeoutError
            If the wait was too short.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.done, timeout):
                raise TimeoutError(f"{self.id} has no answer after {timeout} s; it is still on its way.")
        if isinstance(self._end, ServingError):
            raise self._end
        assert self._end is not None
        return self._end

    def cancel(self) -> None:
        """Give it up: a waiting one never starts, a running one leaves the batch; nothing happens to one that ended."""
        with self._changed:
            if self.done or self._cancelled:
                return
            self._cancelled = True
        if self._on_cancel is not None:
            self._on_cancel(self)

    def listen(self, listener: Listener) -> None:
        """Have pieces and the end handed to a function instead of iterating: for servers without a thread a client.

        Parameters
        ----------
        listener : callable
            Called by the engine's threads with each Piece, those that are there already first, and at last with the
            Answer or the ServingError. It must return at once and never raise.
        """
        with self._changed:
            self._listener = listener
            while self._pieces:
                listener(self._pieces.popleft())
            if self._end is not None:
                listener(self._end)

    def give(self, piece: Piece) -> None:
        """Of the engine: the next piece; nothing comes after the end."""
        with self._changed:
            if self._end is not None:
                return
            if self._listener is not None:
                self._listener(piece)
            else:
                self._pieces.append(piece)
                self._changed.notify_all()

    def end(self, how: Answer | ServingError) -> bool:
        """Of the engine: the answer, or why there is none; False if it had ended before."""
        with self._changed:
            if self._end is not None:
                return False
            self._end = how
            if self._listener is not None:
                self._listener(how)
            self._changed.notify_all()
        return True
