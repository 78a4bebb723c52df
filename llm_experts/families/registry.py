"""The families that there are."""

from __future__ import annotations

from foundation.discovery import items, load
from llm_experts.families.family import Family

ROOMS, NAME = ("llm_experts.families", "llm_experts.families.published"), "FAMILY"
FAMILIES: dict[str, Family] = {item: load(room, NAME, item) for room in ROOMS for item in items(room, NAME)}
"""The files of these rooms that define a ``FAMILY``, generated ones first, and those of plug-in folders."""


def family_named(name: str) -> Family:
    """The family with this name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in FAMILIES:
        raise ValueError(f"There is no family {name!r}; families are {', '.join(FAMILIES)}.")
    return FAMILIES[name]
