"""Baselines: what people would pick instead. One file per method, found by its name.

A file ``benchmarks/methods/baselines/<method>.py``, here or in a plug-in folder, defines ``METHOD``, a
:class:`benchmarks.methods.baseline.Baseline`; nothing else needs to be written anywhere.
"""

from __future__ import annotations

from benchmarks.methods.baseline import Baseline
from foundation.discovery import facts, items, load

ROOM, ITEM = "benchmarks.methods.baselines", "METHOD"


def baseline_names() -> tuple[str, ...]:
    """Names of all baselines, those of plug-in folders last; none is imported."""
    return tuple(items(ROOM, ITEM))


def needs_edges(name: str) -> bool:
    """Whether a baseline says ``graph=True``; read from its source, because importing it takes seconds."""
    return bool(facts(items(ROOM, ITEM)[name], ITEM).get("graph", False))


def load_baseline(name: str) -> Baseline:
    """The method that a file defines; it is imported only now.

    Raises
    ------
    DiscoveryError
        If there is no such baseline.
    """
    method: Baseline = load(ROOM, ITEM, name)
    return method
