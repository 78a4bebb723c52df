"""Experts from folders, whatever their family."""

from __future__ import annotations

from pathlib import Path

from experts.bagging.bag import KIND as BAG
from experts.bagging.bag import load_bagged
from experts.expert import Expert
from experts.families.registry import family_named, family_names
from experts.saved import DESCRIPTION, ExpertError, read_facts


def load_expert(folder: Path) -> Expert:
    """Read an expert of any family, bagged or not.

    Raises
    ------
    ExpertError
        If a file is missing, damaged, or of a family that is not known or cannot be read; the text names the file.
    """
    path = folder / DESCRIPTION
    facts, known = read_facts(path), family_names()
    if isinstance(facts, dict) and facts.get("kind") == BAG:
        return load_bagged(folder, load_expert)
    name = facts.get("family") if isinstance(facts, dict) else None
    if name not in known:
        raise ExpertError(
            f"{path} does not describe an expert that can be read: its family is {name!r}; families are "
            f"{', '.join(known)}."
        )
    load = family_named(name).load
    if load is None:
        raise ExpertError(f"{path} describes an expert of the family {name}, which does not say how it is read.")
    return load(folder)
