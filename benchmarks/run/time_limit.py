"""A limit on the wall time of a block, kept by the timer of the process."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

TICK = 1e-4
"""Seconds after which a timer of an outer block fires that ran out meanwhile."""


class MethodTimeoutError(Exception):
    """A method took longer than the suite allows.

    No RuntimeError on purpose: what treats those of a single trial as a failed trial must not go on after this one.
    """


class UnitTimeoutError(MethodTimeoutError):
    """A unit of a cluster took longer than the suite allows, and its process was ended (``unit_minutes``)."""


TIMEOUTS = (MethodTimeoutError.__name__, UnitTimeoutError.__name__)
"""Names by which the last line of an error says that time ran out."""


@contextlib.contextmanager
def time_limit(seconds: float | None, what: str = "The method") -> Iterator[None]:
    """Stop the body with an error when it takes too long.

    Python looks at the timer between two of its own steps: a single call into compiled code ends first, and only then
    does the error come. A body that swallows the error is stopped by it at its end. Limits may be nested: each holds,
    and the time of an inner block counts for the outer one.

    Parameters
    ----------
    seconds : float or None
        Longest wall time, above 0; None: no limit.
    what : str
        The body in the words of the error.

    Raises
    ------
    MethodTimeoutError
        If the body took longer.
    ValueError
        If ``seconds`` is not above 0.
    RuntimeError
        If this is not the main thread of a process with interval timers (POSIX): only there can a limit be kept.
    """
    if seconds is None:
        yield
        return
    _check(seconds)
    message = f"{what} took longer than {seconds:g} s (method_seconds of the suite); raise it or leave the method out."
    passed = False

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal passed
        passed = True
        raise MethodTimeoutError(message)

    started = time.monotonic()
    outer_handler = signal.signal(signal.SIGALRM, stop)
    outer_left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    outer_first = 0 < outer_left < seconds  # the outer block's time runs out first: let it be the one that is told
    if outer_first:
        signal.signal(signal.SIGALRM, outer_handler)
        signal.setitimer(signal.ITIMER_REAL, outer_left)
    try:
        yield
    finally:
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, outer_handler)
        if outer_first:
            signal.setitimer(signal.ITIMER_REAL, left)  # 0: it has fired, and must not fire twice
        elif outer_left > 0:
            signal.setitimer(signal.ITIMER_REAL, max(outer_left - (time.monotonic() - started), TICK))
    if passed:  # the body caught the error and went on
        raise MethodTimeoutError(message)


def _check(seconds: float) -> None:
    if seconds <= 0:
        raise ValueError(f"A time limit must be above 0 s, not {seconds:g} s.")
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            "A time limit (method_seconds) can be kept only in the main thread of a process on Linux or macOS. "
            "Run 'fairmoe bench', whose workers are processes, or leave method_seconds out."
        )
