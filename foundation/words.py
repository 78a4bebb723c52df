"""Small words that every page and every message needs."""

from __future__ import annotations

from collections.abc import Sequence


def plural(count: float, noun: str, many: str = "") -> str:
    """``1 task``, ``4 tasks``, ``0.5 cores``; ``many`` where an s is not enough."""
    number = f"{count:g}" if isinstance(count, float) else str(count)
    return f"{number} {noun if count == 1 else many or noun + 's'}"


def listing(words: Sequence[str], most: int = 0) -> str:
    """``a, b and c``; with ``most`` names at most: ``a, b and 5 more``."""
    shown = list(words)
    if most and len(shown) > most + 1:
        shown = [*shown[:most], f"{len(shown) - most} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)
