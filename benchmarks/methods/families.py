"""Families of experts, as their files describe them; nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType

from foundation.discovery import facts, items, plugin_folders

ROOM, NAME = "experts.families", "FAMILY"


@dataclass(frozen=True, slots=True)
class FamilyFacts:
    """What methods must know of a family of experts: see :class:`experts.families.family.Family`."""

    name: str
    label: str
    code: str = ""
    needs_edges: bool = False
    explainer: str = ""


STAND_IN = {
    "mlp": {"label": "MLP", "code": "", "needs_edges": False, "explainer": "integrated_gradients"},
    "gcn": {"label": "GCN", "code": "g", "needs_edges": True, "explainer": "integrated_gradients"},
    "gin": {"label": "GIN", "code": "i", "needs_edges": True, "explainer": "integrated_gradients"},
    "sage": {"label": "SAGE", "code": "s", "needs_edges": True, "explainer": "integrated_gradients"},
}


def families() -> Mapping[str, FamilyFacts]:
    """Families by name; those of plug-in folders come last."""
    return _families(plugin_folders())


@cache
def _families(_plugins: tuple[Path, ...]) -> Mapping[str, FamilyFacts]:
    found = {name: facts(path, NAME) for name, path in items(ROOM, NAME).items()}
    known = {field.name for field in fields(FamilyFacts)} - {"name"}
    described = {
        name: FamilyFacts(name, **{"label": name, **{k: v for k, v in said.items() if k in known}})
        for name, said in (STAND_IN | found).items()
    }
    return MappingProxyType(described)


def graph_families() -> tuple[str, ...]:
    """Names of the families that pass messages over edges."""
    return tuple(family.name for family in families().values() if family.needs_edges)
