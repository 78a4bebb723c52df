"""Families by name, found in their folder and in plug-in folders."""

from __future__ import annotations

from typing import Any, cast

from experts.families.family import Family
from foundation import discovery

ROOM, NAME = "experts.families", "FAMILY"
PLAIN = "mlp"
"""The family whose networks carry the name of their role alone."""


def family_names() -> tuple[str, ...]:
    """Names of all families."""
    return tuple(discovery.items(ROOM, NAME))


def family_facts(name: str) -> dict[str, Any]:
    """Label, code, needs_edges and explainer of a family, read without importing it."""
    return discovery.facts(discovery.items(ROOM, NAME)[name], NAME)


def family_named(name: str) -> Family:
    """The family of a name.

    Raises
    ------
    foundation.discovery.DiscoveryError
        If there is none.
    """
    return cast(Family, discovery.load(ROOM, NAME, name))
