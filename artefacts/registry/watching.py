"""What is being fetched, for whoever waits: told while it lasts, shown by commands."""

from __future__ import annotations

from collections.abc import Callable

Watch = Callable[[str, int, int], None]
"""Called with what is fetched, bytes that are here, and all bytes (0: nobody knows)."""


def silent(what: str, done: int, total: int) -> None:
    """Nobody watches."""
