"""Families of experts, as their files describe them; nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from experts.families.registry import family_facts, family_names
from foundation.discovery import plugin_folders


@dataclass(frozen=True, slots=True)
class FamilyFacts:
    """What methods must know of a family of experts: see :class:`experts.families.family.Family`."""

    name: str
    label: str
    code: str
    needs_edges: bool
    explainer: str


def families() -> Mapping[str, FamilyFacts]:
    """Families by name; those of plug-in folders come last."""
    return _families(plugin_folders())


def graph_families() -> tuple[str, ...]:
    """Names of the families that pass messages over edges."""
    return tuple(family.name for family in families().values() if family.needs_edges)


@cache
def _families(_plugins: tuple[Path, ...]) -> Mapping[str, FamilyFacts]:
    return MappingProxyType({name: _described(name) for name in family_names()})


def _described(name: str) -> FamilyFacts:
    said = family_facts(name)
    return FamilyFacts(
        name,
        label=said.get("label", name),
        code=said.get("code", name[:1]),
        needs_edges=said.get("needs_edges", False),
        explainer=said.get("explainer", ""),
    )
