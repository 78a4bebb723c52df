"""Sending while jobs run: a run in the store soon after its cell is on disk, instead of all at the end.

Nothing here can cost a result. What fails, or is not sent when a run is interrupted, has no receipt, and is sent by
whoever looks for cells without one: the end of the run, its next start, or ``fairmoe track sync``.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.tracking.mlflow_store import Tracker, TrackingError, open_tracker, send_all, unsent

Send = Callable[[Sequence[Path]], None]
"""Takes folders of finished cells; returns at once where a thread sends them."""


class Sender:
    """Sends cells to the store until it fails once; it is opened with the first of them.

    Attributes
    ----------
    error : str
        What went wrong; nothing more is sent after that.
    """

    def __init__(self, connect: Callable[[], Tracker] = open_tracker) -> None:
        self._connect = connect
        self._tracker: Tracker | None = None
        self._stopped = threading.Event()
        self.error = ""

    def send(self, folders: Sequence[Path]) -> None:
        """Send those that the store does not have yet, the last first."""
        for folder in reversed(folders):
            if self.error or self._stopped.is_set():
                return
            try:
                if left := unsent([folder]):
                    self._tracker = self._tracker or self._connect()
                    send_all(self._tracker, left)
            except (TrackingError, OSError, ValueError) as error:  # a receipt may be unreadable, too
                self.error = str(error)

    def stop(self) -> None:
        """Send nothing more but the cell that is under way."""
        self._stopped.set()


@contextmanager
def sending(aside: bool, sender: Sender | None = None) -> Iterator[Send]:
    """What takes finished cells and sends them.

    Parameters
    ----------
    aside : bool
        Whether a thread sends them, for a process that only waits for its workers; otherwise they are sent at once, by
        the caller: code that runs in this process must not find it changed by a thread.
    sender : Sender, optional

    Yields
    ------
    callable
        All that it got is sent when the body ends, unless it ends by an exception, such as Ctrl-C.
    """
    sender = sender or Sender()
    if not aside:
        yield sender.send
        return
    waiting: queue.SimpleQueue[Sequence[Path] | None] = queue.SimpleQueue()
    thread = threading.Thread(target=_send_waiting, args=(sender, waiting), name="tracking", daemon=True)
    thread.start()
    try:
        yield waiting.put
    except BaseException:
        sender.stop()
        raise
    finally:
        waiting.put(None)
        thread.join()


def _send_waiting(sender: Sender, waiting: queue.SimpleQueue[Sequence[Path] | None]) -> None:
    while (folders := waiting.get()) is not None:
        sender.send(folders)
