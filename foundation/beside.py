"""A thread that does something again and again beside a body of code."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beside(act: Callable[[], bool], seconds: float, name: str) -> Iterator[None]:
    """While the body runs, act every so many seconds until it says that this was enough.

    Parameters
    ----------
    act : callable
        Returns whether to go on. What it raises ends it, and is raised when the body has ended.
    seconds : float
        Before the first time and between two.
    name : str
        Of the thread.
    """
    ended = threading.Event()
    faults: list[Exception] = []

    def run() -> None:
        try:
            while not ended.wait(seconds) and act():
                pass
        except Exception as error:  # noqa: BLE001 - raised below, where somebody sees it
            faults.append(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if faults:
        raise faults[0]
