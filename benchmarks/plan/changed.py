"""What a run of a suite with other settings is, in words: what the suite says of itself no longer holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.methods.registry import method_id
from foundation.words import listing, plural

NAMED = 4
"""Tasks or methods that are named at most; more are counted."""
LISTS = ("tasks", "methods")
ELSEWHERE = frozenset({"seed", "cfa"})
"""Settings of which no description speaks; those that say where a suite is computed are no facts of it."""


def changed_description(name: str, own: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """The description of a run: the suite's own where it has the suite's settings, else which settings it has.

    Parameters
    ----------
    name : str
        Of the suite.
    own : mapping
        Its own values of the settings that may have been changed.
    run : mapping
        All settings of the run, JSON-able (:attr:`benchmarks.plan.suite.Suite.facts`).
    """
    told = [_told(key, own[key], run[key]) for key in own if key not in ELSEWHERE and own[key] != run[key]]
    if not told:
        return str(run["description"])
    return (
        f"The suite {name} with other settings: {'; '.join(told)}. The suite's own running time, and what it can "
        "decide, are not those of this run."
    )


def _told(key: str, own: Any, run: Any) -> str:
    """What changed in a setting; where it holds several, in each of them."""
    if isinstance(own, Mapping) and isinstance(run, Mapping):
        inner = [_told(name, own[name], run[name]) for name in own if own[name] != run[name]]
        return f"{_words(key)} with {', '.join(inner)}"
    if key == "llm":
        return "without its text experts"  # no option adds any
    if key in LISTS:
        return _list_words(key, list(own), list(run))
    return f"{_words(key)} {_text(run)} instead of {_text(own)}"


def _list_words(key: str, own: list[str], run: list[str]) -> str:
    """``1 of its 4 tasks (scm)``, ``the tasks german and nba instead of its 4``."""
    names = listing(list(map(_name, run))) if len(run) <= NAMED else ""
    if set(run) < set(own):
        return f"{len(run) or 'none'} of its {len(own)} {key}{f' ({names})' if names else ''}"
    held = f"the {key if len(run) > 1 else key[:-1]} {names}" if names else plural(len(run), key[:-1])
    return f"{held} instead of its {len(own)}" if own else held


def _name(asked: str) -> str:
    """A task or method as people know it: an own one without its folder."""
    return Path(method_id(asked)).name


def _words(key: str) -> str:
    return "text experts" if key == "llm" else key.replace("_", " ")


def _text(value: Any) -> str:
    if value is None or value == "":
        return "none"
    return listing([str(each) for each in value]) if isinstance(value, list | tuple) else str(value)
