"""The time limit of a method: it stops loops, nests, and leaves no timer behind."""

from __future__ import annotations

import contextlib
import signal
import threading
import time

import numpy as np
import pytest

from benchmarks.run.time_limit import MethodTimeoutError, time_limit


def spin(seconds: float = 5.0) -> None:
    """Pure Python until the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def multiply() -> None:
    """Many short calls into compiled code."""
    matrix = np.ones((60, 60))
    for _ in range(10_000_000):
        matrix @ matrix


@pytest.mark.parametrize("work", [spin, multiply])
def test_a_loop_is_stopped_in_time(work: object) -> None:
    assert callable(work)
    start = time.monotonic()
    with (
        pytest.raises(MethodTimeoutError, match=r"The method took longer than 0.05 s \(method_seconds"),
        time_limit(0.05),
    ):
        work()
    assert time.monotonic() - start < 2


def test_a_body_in_time_passes_and_no_timer_or_handler_is_left() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(0.05):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    time.sleep(0.08)  # a timer that was left would fire now


def test_no_limit_sets_no_timer() -> None:
    with time_limit(None):
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_the_limit_names_what_took_too_long() -> None:
    with pytest.raises(MethodTimeoutError, match=r"my\.make took longer"), time_limit(0.02, "my.make"):
        spin()


def test_an_error_of_the_body_is_its_own() -> None:
    with pytest.raises(KeyError), time_limit(5):
        raise KeyError("mine")
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_body_that_swallows_the_error_does_not_get_away() -> None:
    def stubborn() -> None:
        with contextlib.suppress(Exception):  # what a careless method does
            spin()

    with pytest.raises(MethodTimeoutError), time_limit(0.03):
        stubborn()


def test_the_inner_limit_ends_first_and_the_outer_one_still_holds() -> None:
    start = time.monotonic()
    with pytest.raises(MethodTimeoutError, match="outer"), time_limit(0.15, "outer"):
        with pytest.raises(MethodTimeoutError, match="inner"), time_limit(0.03, "inner"):
            spin()
        spin()
    assert 0.1 < time.monotonic() - start < 2


def test_the_outer_limit_ends_first_inside_the_inner_block() -> None:
    start = time.monotonic()
    with pytest.raises(MethodTimeoutError, match="outer"), time_limit(0.03, "outer"), time_limit(3, "inner"):
        spin()
    assert time.monotonic() - start < 2
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_it_is_no_error_that_tuning_takes_for_a_failed_trial() -> None:
    assert not issubclass(MethodTimeoutError, (ArithmeticError, ValueError, RuntimeError))


def test_another_thread_is_refused_with_what_to_do() -> None:
    said: list[str] = []

    def work() -> None:
        try:
            with time_limit(1):
                pass
        except RuntimeError as error:
            said.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said and "main thread" in said[0] and "method_seconds" in said[0]


def test_zero_is_no_limit_but_an_error() -> None:
    with pytest.raises(ValueError, match="above 0"), time_limit(0):
        pass
