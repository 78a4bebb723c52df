"""A thread beside a body."""

import threading

import pytest

from foundation.beside import beside


def test_it_acts_until_it_has_enough() -> None:
    acted: list[str] = []
    enough = threading.Event()

    def act() -> bool:
        acted.append(threading.current_thread().name)
        if len(acted) == 3:
            enough.set()
        return len(acted) < 3

    with beside(act, 0.001, "beat"):
        assert enough.wait(30)
    assert acted == ["beat"] * 3


def test_what_it_raises_is_raised_after_the_body() -> None:
    raised = threading.Event()

    def act() -> bool:
        raised.set()
        raise ValueError("gone")

    done = False
    with pytest.raises(ValueError, match="gone"), beside(act, 0.001, "beat"):
        assert raised.wait(30)
        done = True
    assert done


def test_the_bodys_own_error_comes_first() -> None:
    with pytest.raises(KeyError), beside(lambda: True, 60.0, "beat"):
        raise KeyError
