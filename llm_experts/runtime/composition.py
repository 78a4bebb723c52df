"""What a request runs on: experts of one base and their weights."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from llm_experts.adapters.error import AdapterError

MOST = 10
"""Experts of a composition at most, as a manifest's ``max_chain``."""
LARGEST = 100.0
"""Size of a weight at most: beyond it numbers of a half precision overflow within a layer or two."""


class CompositionError(AdapterError):
    """A composition that is not defined; the text says why, and what to do."""


@dataclass(frozen=True)
class Composition:
    """Adapters and their weights; equal and of the same hash however it was written down.

    Parts are kept sorted by name, and those of weight 0 are left out, as they change nothing.

    Attributes
    ----------
    parts : tuple of (str, float)
        Names and weights, at most ten; without parts it is the base.

    Raises
    ------
    CompositionError
        If there are more parts, a name is empty or stands there twice, or a weight is no number, not finite or of a
        size above 100.
    """

    parts: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        """Check the parts and bring them into their order."""
        names = [name for name, _ in self.parts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise CompositionError(f"Expert {twice[0]!r} is named twice; give it once, with the weight that you mean.")
        parts = sorted((_name(name), _weight(name, weight)) for name, weight in self.parts)
        kept = tuple((name, weight) for name, weight in parts if weight != 0)
        if len(kept) > MOST:
            raise CompositionError(f"{len(kept)} experts are composed; a request takes {MOST} at most. Leave some out.")
        object.__setattr__(self, "parts", kept)

    @classmethod
    def of(cls, experts: Mapping[str, float]) -> Composition:
        """The composition of weights by name.

        Raises
        ------
        CompositionError
            See the class.
        """
        return cls(tuple(experts.items()))

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters, sorted."""
        return tuple(name for name, _ in self.parts)

    @property
    def key(self) -> str:
        """Text that two compositions have in common only if they are the same."""
        return json.dumps(self.parts, separators=(",", ":"))


def _name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise CompositionError(f"{name!r} is no name of an expert; give the names under which they are installed.")
    return name


def _weight(name: str, weight: object) -> float:
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise CompositionError(f"The weight of expert {name!r} is {weight!r}, no number; 1 is the expert as it is.")
    value = float(weight)
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise CompositionError(
            f"The weight of expert {name!r} is {value}; give a number between -{LARGEST:.0f} and {LARGEST:.0f}. 1 is "
            "the expert as it is, 0 the base."
        )
    return value


BASE = Composition()
