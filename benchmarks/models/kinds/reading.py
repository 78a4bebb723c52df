"""One reader for experts of every kind, whatever is inside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.methods.own_method import OwnMethodError
from benchmarks.methods.user_code import EstimatorError
from benchmarks.models.error import ModelError
from benchmarks.models.kinds.readers import Given, Reading
from benchmarks.saving.kinds import READERS, named
from experts.expert import Expert
from experts.saved import DESCRIPTION, ExpertError, read_facts

NOTHING = Given()
DEEPEST = 8
"""Most experts within each other: a folder that leads back to itself ends here."""


def read_expert(folder: Path, given: Given = NOTHING) -> Expert:
    """The expert that was saved into a folder.

    Parameters
    ----------
    folder : Path
        With ``expert.json``, whose ``kind`` says how the rest is read.
    given : Given
        What the user says of it.

    Raises
    ------
    ModelError
        If a file is missing or damaged, or of a kind that is not known; the text names the file.
    """
    return _read(folder, given, [], 0)


def _read(folder: Path, given: Given, shared: list[Expert], depth: int) -> Expert:
    """``depth``: how many experts it is inside of."""
    facts = description(folder)
    if depth > DEEPEST:
        raise ModelError(
            f"{folder} is an expert within more than {DEEPEST} others; this is no model that fairmoe saved."
        )
    read = named(READERS, facts.get("kind"))
    if read is None:
        raise ModelError(
            f"{folder / DESCRIPTION} is of an expert of the kind {facts.get('kind')!r}, which this fairmoe does not "
            f"know; it knows {', '.join(READERS)}. Read it with the fairmoe that wrote it, or a newer one."
        )
    reading = Reading(lambda inner: _read(inner, given, shared, depth + 1), given, shared)
    try:
        found: Expert = read(folder, facts, reading)
    except (ModelError, OwnMethodError):
        raise
    except (ExpertError, EstimatorError) as error:
        raise ModelError(str(error)) from error
    except Exception as error:  # each library has errors of its own for a damaged file
        raise ModelError(
            f"{folder} cannot be read: {type(error).__name__}: {error}. A file of it is missing or damaged, or from "
            "another version; save or copy the model again."
        ) from error
    return found


def description(folder: Path) -> Mapping[str, Any]:
    """What an ``expert.json`` says.

    Raises
    ------
    ModelError
        If it is missing, or no JSON object.
    """
    try:
        facts = read_facts(folder / DESCRIPTION)
    except ExpertError as error:
        raise ModelError(str(error)) from error
    if not isinstance(facts, dict):
        raise ModelError(f"{folder / DESCRIPTION} is no JSON object; save or copy the model again.")
    return facts
