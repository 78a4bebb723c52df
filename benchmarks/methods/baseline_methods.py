"""Baselines and own methods as records: what a baseline's file says of it, read without importing it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.methods.baselines import ITEM, ROOM
from benchmarks.methods.method import Method, Rate, needs_of
from experts.families.registry import PLAIN
from foundation.discovery import DiscoveryError, facts, items

if TYPE_CHECKING:
    from benchmarks.methods.baseline import Baseline

WORDS = (
    "label", "about", "family", "reference", "kind", "colour", "explainer", "secondary", "landmark", "levels",
    "compared", "sensitive_at_prediction", "scores_decisions",
)  # fmt: skip
"""What a record takes over from a baseline as it is."""


def baseline_methods() -> tuple[Method, ...]:
    """All baselines, without importing one."""
    return tuple(_read(name, path, path.stat().st_mtime_ns) for name, path in items(ROOM, ITEM).items())


def method_of(name: str, baseline: Baseline) -> Method:
    """The record of a baseline that is loaded already, such as a method of the user's own."""
    said = {key: getattr(baseline, key) for key in (*WORDS, "graph", "seconds", "once", "resources")}
    return _record(name, said)


def unread(name: str) -> Method:
    """The record of an own method without its words: all that making it needs, and its file is not loaded for it."""
    return _record(name, {"kind": "own"})


@cache
def _read(name: str, path: Path, _changed: int) -> Method:
    return _record(name, facts(path, ITEM))


def _record(name: str, said: dict[str, Any]) -> Method:
    graph, (fixed, slope) = bool(said.get("graph", False)), said.get("seconds", (1.0, 1.0))
    try:
        resources = needs_of(said.get("resources", {}))
    except ValueError as error:
        raise DiscoveryError(f"The resources of the baseline {name!r} cannot be used: {error}.") from error
    words = {"label": name, "explainer": "shapley_sampling"} | {key: said[key] for key in WORDS if key in said}
    return Method(
        **words,
        id=name,
        reads="graph" if graph else "tabular",
        recipe="benchmarks.run.stages.baseline_recipe:BASELINE",
        edges=graph,
        networks=(("utility", PLAIN),),  # the floor of every fairness method
        rate=Rate(fixed, slope, per_trial=bool(fixed or slope) and not said.get("once", False)),
        resources=resources,
    )
