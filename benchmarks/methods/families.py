"""Families of experts, as their files describe them; nothing heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass, fields

from foundation.discovery import facts, items

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


def families() -> dict[str, FamilyFacts]:
    """Families by name; those of plug-in folders come last."""
    found = {name: facts(path, NAME) for name, path in items(ROOM, NAME).items()}
    known = {field.name for field in fields(FamilyFacts)} - {"name"}
    return {
        name: FamilyFacts(name, **{"label": name, **{k: v for k, v in said.items() if k in known}})
        for name, said in (STAND_IN | found).items()
    }


def graph_families() -> tuple[str, ...]:
    """Names of the families that pass messages over edges."""
    return tuple(family.name for family in families().values() if family.needs_edges)
