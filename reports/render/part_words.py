"""What a page must say first where its run is not one whole suite, by one code, environment and driver of studies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foundation.words import listing


def part_words(suite: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(heading, sentence) of each such thing; none for a whole run, or for shares that were merged to one.

    Parameters
    ----------
    suite : mapping
        ``suite.json``: ``shards`` are [which, of how many] of the shares that are there, ``different`` names facts
        of code and environment that its shares do not have in common, with the value in each; ``unordered`` are the
        [task, split] whose trials several drivers asked.
    """
    found = []
    if shards := suite.get("shards"):
        found.append((f"{_names(shards)}: not the whole suite", _PART))
    for fact in suite.get("different", ()):
        values = "; ".join(f"{value} in {listing(folders)}" for value, folders in fact["values"])
        found.append((f"Merged from cells of different {fact['what']}", f"{values}. {_DIFFERENT}"))
    if jobs := suite.get("unordered"):
        names = listing([f"{task} split {split}" for task, split in jobs])
        found.append(("Not reproducible in order", f"{names}: {_UNORDERED}"))
    return found


_PART = (
    "Ranks, means and intervals are those of its jobs alone, and the jobs of a share are no sample of the suite's. "
    "Put all shares together with: fairmoe merge"
)
_UNORDERED = (
    "several drivers asked for the trials of a study (--storage), so which configurations were tried depended on who "
    "was faster. The same command may come to other ones; the column order of provenance.csv marks the cells."
)
_DIFFERENT = "It was asked for (--allow-different): a difference between two cells may be one of these, not of methods."


def _names(shards: list[list[int]]) -> str:
    """``Shard 3 of 20``, ``Shards 1, 3 of 20``; of cuts into different numbers, each by itself."""
    by_count: dict[int, list[str]] = {}
    for index, of in shards:
        by_count.setdefault(of, []).append(str(index))
    texts = [f"{'shards' if len(which) > 1 else 'shard'} {listing(which)} of {of}" for of, which in by_count.items()]
    text = " and ".join(texts)
    return text[0].upper() + text[1:]
