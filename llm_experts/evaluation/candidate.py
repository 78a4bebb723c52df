"""What is examined: experts and their weights on a base, and what tells this one from any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from foundation.hashing import hash_file, hash_json
from llm_experts.adapters.store import CONFIG, WEIGHTS
from llm_experts.runtime.composition import BASE, Composition


@dataclass(frozen=True)
class Candidate:
    """One model of an examination.

    Attributes
    ----------
    name : str
        In tables.
    composition : Composition
        On the resident base.
    identity : str
        Hash of the adapters' bytes and weights: what answers are kept under. "" keeps none.
    """

    name: str
    composition: Composition = BASE
    identity: str = "base"

    @classmethod
    def of(cls, name: str, weights: Mapping[str, float], folders: Mapping[str, Path]) -> Candidate:
        """The candidate that adapters of folders make with their weights."""
        composition = Composition.of(weights)
        parts = [(weight, *(hash_file(folders[name] / file) for file in (CONFIG, WEIGHTS)))
                 for name, weight in composition.parts]  # fmt: skip
        return cls(name, composition, hash_json(parts))
