"""Batches of texts of like length."""

from __future__ import annotations

from collections.abc import Sequence


def length_batches(lengths: Sequence[int], tokens: int, most: int | None = None) -> list[slice]:
    """Runs of texts sorted by length, either way: at most ``tokens`` tokens once padded each, and at least one text.

    ``most`` bounds the texts of a run beside its tokens.
    """
    found, start = [], 0
    for stop in range(1, len(lengths) + 1):
        more = stop + 1 - start
        full = stop < len(lengths) and more * max(lengths[start], lengths[stop]) > tokens
        if stop == len(lengths) or full or (most is not None and more > most):
            found.append(slice(start, stop))
            start = stop
    return found
