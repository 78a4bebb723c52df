"""Answers handed on to whoever watches, on a thread of its own: no request waits for it or fails by it."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.answer import Answer

LOG = logging.getLogger(__name__)
MOST = 1024
"""Answers that wait to be handed on; further ones are counted as lost."""


class Observer:
    """Calls a function with every answer.

    Parameters
    ----------
    on_answer : callable

    Attributes
    ----------
    lost : int
        Answers that there was no room for, or on which the function failed.
    """

    def __init__(self, on_answer: Callable[[Answer], None]) -> None:
        self.lost = 0
        self._on_answer = on_answer
        self._waiting: queue.Queue[Answer | None] = queue.Queue(MOST)
        self._thread = threading.Thread(target=self._run, name="fairmoe-telemetry", daemon=True)
        self._thread.start()

    def see(self, answer: Answer) -> None:
        """Hand an answer on; returns at once."""
        try:
            self._waiting.put_nowait(answer)
        except queue.Full:
            self.lost += 1

    def close(self, timeout: float) -> None:
        """Hand on what waits, for so many seconds at most."""
        try:
            self._waiting.put(None, timeout=timeout)
        except queue.Full:
            LOG.warning("Telemetry is stuck: %d answers were not handed on.", self._waiting.qsize())
            return
        self._thread.join(timeout)
        if self._thread.is_alive():
            LOG.warning("Telemetry is stuck: %d answers were not handed on.", self._waiting.qsize())

    def _run(self) -> None:
        while (answer := self._waiting.get()) is not None:
            try:
                self._on_answer(answer)
            except Exception:
                self.lost += 1
                LOG.warning("Telemetry of %s failed; the answer itself was given.", answer.id, exc_info=True)
