"""The boundary around code of users: it changes nothing for others, and whatever it raises is an error of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from benchmarks.methods.process_state import NOTHING, Changes, kept_state


class EstimatorError(ValueError):
    """An estimator that cannot be fitted or asked as it is."""


@contextmanager
def user_code(name: str, what: str, state: Changes = NOTHING, seed: int | None = None) -> Iterator[Changes]:
    """Run code of a user: the process is put back behind it, and what would end the process becomes an error.

    Parameters
    ----------
    name : str
        Of the method, for errors.
    what : str
        The part of it that runs, such as "fit".
    state : mapping
        What its code left of the process before.
    seed : int, optional
        Of the global random generators while it runs.

    Yields
    ------
    mapping
        What it leaves, when it has ended: see :func:`benchmarks.methods.process_state.kept_state`.

    Raises
    ------
    EstimatorError
        Instead of ``SystemExit`` and other exceptions that are meant to end a program, and of ``os._exit`` and
        ``os.abort``, which raise none. Errors stay as they are, and so does ``KeyboardInterrupt``: it is the person at
        the keyboard.
    """
    with kept_state(state, seed) as left, _exits_raise():
        try:
            yield left
        except (Exception, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            raise EstimatorError(told(name, what, error)) from error


@contextmanager
def _exits_raise() -> Iterator[None]:
    """Have what ends this process at once raise ``SystemExit``; processes that the body forks may end as they do."""
    process, leave, abort = os.getpid(), os._exit, os.abort

    def raise_exit(status: int) -> NoReturn:
        if os.getpid() != process:
            leave(status)
        raise SystemExit(f"os._exit({status})")

    def raise_abort() -> NoReturn:
        if os.getpid() != process:
            abort()
        raise SystemExit("os.abort()")

    os._exit, os.abort = raise_exit, raise_abort
    try:
        yield
    finally:
        os._exit, os.abort = leave, abort


def told(name: str, what: str, error: BaseException) -> str:
    """What is said of an exception that was meant to end the program."""
    said = f" ({error})" if str(error) else ""
    return (
        f"{name}: {what} tried to end the program with {type(error).__name__}{said}. Raise an error such as ValueError "
        "instead, and read no command line in the file of a method."
    )
