"""Words for what cannot be used: a name that nobody knows, and what a schema finds wrong with values."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

LONGEST = 80
"""Letters of a value, or of a name that nobody knows, that are shown."""


def did_you_mean(
    name: str, known: Collection[str], *, most: int = 1, cutoff: float = 0.6, told: Mapping[str, str] | None = None
) -> str:
    """The known names that are spelled like one that is not: a question with a space behind it, or nothing.

    Parameters
    ----------
    name : str
    known : collection of str
        In the order in which equally close ones are told.
    most : int
        How many are named at most.
    cutoff : float
        Least likeness (:class:`difflib.SequenceMatcher`) of a name that is told.
    told : mapping of str to str, optional
        What is told in place of a known name, where that is written otherwise.

    Examples
    --------
    >>> did_you_mean("epoch", ["epochs", "seed"])
    "Did you mean 'epochs'? "
    >>> did_you_mean("colour", ["epochs", "seed"])
    ''
    """
    close = difflib.get_close_matches(name, known, n=most, cutoff=cutoff)
    close = close or [one for one in known if one.lower() == name.lower()][:most]
    words = [repr((told or {}).get(one, one)) for one in close]
    return f"Did you mean {' or '.join(words)}? " if words else ""


def faults_of(error: ValidationError, known: Collection[str] = ()) -> str:
    """What pydantic finds wrong with values, each with where it stands; joined by semicolons, without an end.

    Parameters
    ----------
    error : pydantic.ValidationError
    known : collection of str
        Fields at the top, for a question about one that is not known.

    Examples
    --------
    ``epochs: Input should be greater than 0 (given: '-1')``; ``the field seed is missing``; ``there is no field
    'epoch' (did you mean 'epochs'?)``.
    """
    return "; ".join(fault_of(dict(found), known) for found in error.errors(include_url=False))


def fault_of(found: Mapping[str, Any], known: Collection[str] = ()) -> str:
    """One of pydantic's findings, as :func:`faults_of` tells it."""
    place = ".".join(map(str, found["loc"]))
    if found["type"] == "missing":
        return f"the field {place} is missing"
    if found["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        meant = did_you_mean(place, known).strip()
        return f"there is no field {place[:LONGEST]!a}" + (f" ({meant[0].lower()}{meant[1:]})" if meant else "")
    message = str(found["msg"]).removeprefix("Value error, ")
    if not place:
        return message
    if found["type"] == "tuple_type":
        value = str(found["input"])[:LONGEST]
        return f"{place} is {value!a}, and has to be a list, such as [{value!a}]"
    whole = isinstance(found["input"], (Mapping, list, tuple)) and found["type"] == "value_error"
    return f"{place}: {message}" + ("" if whole else f" (given: {str(found['input'])[:LONGEST]!a})")
