"""A mutant in a process that has imported everything: functions get the code of the changed module."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType


def functions_of(filename: str) -> list[FunctionType]:
    """Every function of a file that any object holds: a look at all objects, once for all mutants of the file."""
    return [f for f in gc.get_objects() if type(f) is FunctionType and f.__code__.co_filename == filename]


def swap(original: CodeType, changed: CodeType, functions: Iterable[FunctionType]) -> int:
    """Give every function of a module the code that the changed module has at its place.

    Parameters
    ----------
    original, changed : CodeType
        Of the whole module, of the same file name.
    functions : iterable of function
        See :func:`functions_of`.

    Returns
    -------
    int
        How many functions changed; 0 if those that should are held by no Python object.
    """
    count = 0
    pairs = dict(_pairs(original, changed))
    for function in functions:
        new = pairs.get(function.__code__)
        if new is not None and new.co_freevars == function.__code__.co_freevars:
            function.__code__ = new
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
