"""What a page says of its run as a whole: what the suite says of itself, and what a run of this kind cannot have.

Where a run is not one whole suite, by one code, environment and driver of studies, a page says that first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foundation.words import listing

IN_FILES = (
    "Rows stayed in files (--max-memory): methods that need all of them at once were left out, boosted trees were "
    "tuned and reasons were found on samples."
)
NO_LEVELS_IN_FILES = (
    "Rows of this run stayed in files (--max-memory), where no model is searched at an allowed gap and none is saved "
    "by fairmoe choose. A run in memory, such as one of a part of the rows, has both."
)
NO_LEVELS = (
    "This run has no rows in levels.csv, so no model was searched at an allowed gap: it was written by an earlier "
    "version, or no cell of the first seed is finished. Run the same command again; finished cells are kept."
)


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


def described(suite: Mapping[str, Any]) -> list[str]:
    """What the suite says of itself, of a share that it says so of the whole; and where its rows were.

    Parameters
    ----------
    suite : mapping
        ``suite.json``.
    """
    whole = "The whole suite: " if suite.get("shards") else ""
    said = [f"{whole}{suite['description']}"] if suite["description"] else []
    return [*said, IN_FILES] if suite.get("rows_in_files") else said


def no_levels(suite: Mapping[str, Any]) -> str:
    """Why a run has no rows of levels."""
    return NO_LEVELS_IN_FILES if suite.get("rows_in_files") else NO_LEVELS
