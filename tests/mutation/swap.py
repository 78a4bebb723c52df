"""A mutant in a process that has imported everything: functions get the code of the changed module."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import CodeType, FunctionType


def swap(original: CodeType, changed: CodeType) -> int:
    """Give every function of a module the code that the changed module has at its place.

    Parameters
    ----------
    original, changed : CodeType
        Of the whole module, of the same file name.

    Returns
    -------
    int
        How many functions changed; 0 if those that should are held by no Python object.
    """
    count = 0
    pairs = dict(_pairs(original, changed))
    for item in gc.get_objects():
        if type(item) is FunctionType and item.__code__.co_filename == original.co_filename:
            new = pairs.get(item.__code__)
            if new is not None and new.co_freevars == item.__code__.co_freevars:
                item.__code__ = new
                count += 1
    return count


def _pairs(original: CodeType, changed: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    old, new = ([part for part in code.co_consts if isinstance(part, CodeType)] for code in (original, changed))
    if [part.co_qualname for part in old] != [part.co_qualname for part in new]:
        return
    for before, after in zip(old, new, strict=True):
        if before != after:
            yield before, after
            yield from _pairs(before, after)
