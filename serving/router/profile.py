"""What a router knows of an expert: what its package says of when it is chosen, and beside what it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from artefacts.format.names import Range, Version
from serving.router.error import RouterError

if TYPE_CHECKING:
    from artefacts.format.manifest import Manifest

LONGEST_CHAIN = 10
"""Experts of one answer at most."""

PREFIXES = frozenset({"prefix", "prefix_tuning"})
VIRTUAL = PREFIXES | {"soft_prompt", "prompt_tuning", "p_tuning"}
"""Kinds of adapters that are virtual tokens."""


@dataclass(frozen=True)
class ExpertProfile:
    """An expert as routers see it.

    Attributes
    ----------
    name, version, description : str
    capabilities : tuple of str
        Words, or ``kind:word`` (``language:german``), of which the last part is looked for.
    keywords, exclude_keywords : tuple of str
        Words or phrases that speak for the expert; those that rule it out.
    priority : float in [0, 1]
    requires, incompatible_with : mapping of str to str
        Experts and ranges of their versions, as :class:`artefacts.format.names.Range` reads them.
    load_order, max_chain : int
        Place among the experts of one answer (smaller first); most experts of an answer that this one is part of.
    kinds : tuple of str
        Kinds of its adapters. Virtual tokens (``soft_prompt``, ``prefix``) are there or not: their weight is 1. Two
        prefixes were both learnt for the first positions and do not stand together.
    """

    name: str
    version: str = "1.0.0"
    description: str = ""
    capabilities: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    exclude_keywords: tuple[str, ...] = ()
    priority: float = 0.5
    requires: Mapping[str, str] = field(default_factory=dict)
    incompatible_with: Mapping[str, str] = field(default_factory=dict)
    load_order: int = 0
    max_chain: int = LONGEST_CHAIN
    kinds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.priority <= 1:
            raise RouterError(f"the priority of {self.name!r} is {self.priority}: give a number from 0 to 1")
        if not 1 <= self.max_chain <= LONGEST_CHAIN:
            raise RouterError(f"max_chain of {self.name!r} is {self.max_chain}: give 1 to {LONGEST_CHAIN}")

    @classmethod
    def of(cls, manifest: Manifest) -> ExpertProfile:
        """The profile of a package."""
        routing, beside = manifest.routing, manifest.constraints
        return cls(
            manifest.name, manifest.version, manifest.description, manifest.capabilities, routing.keywords,
            routing.exclude_keywords, routing.priority, beside.requires, beside.incompatible_with, beside.load_order,
            beside.max_chain, tuple(dict.fromkeys(adapter.type for adapter in manifest.adapters)),
        )  # fmt: skip

    @classmethod
    def of_json(cls, facts: Mapping[str, Any]) -> ExpertProfile:
        """A profile of plain values, as :meth:`as_json` gives them.

        Raises
        ------
        RouterError
            If a field is unknown, or the name is missing.
        """
        try:
            known: dict[str, Any] = {
                k: tuple(value) if isinstance(value, list) else value for k, value in facts.items()
            }
            return cls(**known)
        except TypeError as error:
            raise RouterError(f"an expert's profile cannot be read ({error})") from error

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}

    @property
    def undivided(self) -> bool:
        """Whether it is there with weight 1 or not at all."""
        return not VIRTUAL.isdisjoint(self.kinds)

    def bars(self, other: ExpertProfile) -> bool:
        """Whether the two cannot stand together, or one says so."""
        if not PREFIXES.isdisjoint(self.kinds) and not PREFIXES.isdisjoint(other.kinds):
            return True
        return _named(self.incompatible_with, other) or _named(other.incompatible_with, self)

    def accepts(self, other: ExpertProfile) -> bool:
        """Whether another expert has the version that this one requires of it."""
        return _named(self.requires, other)


def _named(ranges: Mapping[str, str], other: ExpertProfile) -> bool:
    text = ranges.get(other.name)
    return text is not None and Version.parse(other.version) in Range.parse(text)
