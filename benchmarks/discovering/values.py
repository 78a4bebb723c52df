"""A value in results by its path, as gates name it.

``4_training.experts.*.reached`` names one value for every expert. A part of a path is a key, ``*`` (every item of a
list or mapping), ``#`` (how many items a list, a mapping or a text has), a place in a list (``-1`` is the last), or
``name[key=value]``: the items of the list ``name`` whose ``key`` has that value, where ``value`` may be ``{path}`` of
another value; truth is ``true`` or ``false``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

EVERY, LENGTH = "*", "#"
CHOICE = re.compile(r"(?P<name>[^\[\]]+)\[(?P<key>[^=\]]+)=(?P<value>[^\]]*)\]")
PLACE = re.compile(r"-?\d+")
PART = re.compile(r"\.(?![^\[]*\])")


def values_at(results: Mapping[str, Any], path: str) -> list[Any]:
    """All values that a path names, in order; empty where there is none. None and missing ones are None.

    Examples
    --------
    >>> values_at({"a": [{"b": 1}, {"b": 2}]}, "a.*.b")
    [1, 2]
    >>> values_at({"a": [{"b": 1}]}, "a.#")
    [1]
    >>> values_at({"a": [{"b": "x", "c": 3}, {"b": "y", "c": 4}], "best": "y"}, "a[b={best}].c")
    [4]
    """
    found = [results]
    for part in PART.split(path):
        found = [inner for one in found for inner in _step(one, part, results)]
    return found


def _step(found: Any, part: str, results: Mapping[str, Any]) -> Iterator[Any]:
    if found is None:
        yield None
    elif part == EVERY:
        yield from found.values() if isinstance(found, Mapping) else found if isinstance(found, list) else [None]
    elif part == LENGTH:
        yield len(found) if isinstance(found, (Mapping, list, str)) else None
    elif isinstance(found, list) and PLACE.fullmatch(part):
        yield found[int(part)] if -len(found) <= int(part) < len(found) else None
    elif chosen := CHOICE.fullmatch(part):
        yield from _chosen(found, chosen, results)
    else:
        yield found.get(part) if isinstance(found, Mapping) else None


def _chosen(found: Any, chosen: re.Match[str], results: Mapping[str, Any]) -> Iterator[Any]:
    items = found.get(chosen["name"]) if isinstance(found, Mapping) else None
    wanted = chosen["value"]
    if wanted.startswith("{") and wanted.endswith("}"):
        named = values_at(results, wanted[1:-1])
        wanted = str(named[0]) if named else ""
    for item in items if isinstance(items, list) else ():
        if isinstance(item, Mapping) and _word(item.get(chosen["key"])) == wanted:
            yield item


def _word(found: Any) -> str:
    return str(found).lower() if isinstance(found, bool) else str(found)
