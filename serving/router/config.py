"""How a router decides: policies in their order, their weights, thresholds; written as TOML."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from foundation.refusals import did_you_mean
from foundation.tables import TableError, read_table
from serving.router.error import RouterError
from serving.router.patterns import GenericPatterns
from serving.router.profile import LONGEST_CHAIN

POLICIES = ("generic", "keywords", "capabilities", "priority", "prototypes", "calibrated", "dispatch")
"""Policies by name, in their usual order."""


@dataclass(frozen=True)
class RouterConfig:
    """How a router decides.

    Attributes
    ----------
    order : tuple of str
        Policies that are asked, of :data:`POLICIES`; one that decides for the base ends the chain. A policy that has
        nothing to work with (no fitted model, no hidden state) is passed over.
    weights : mapping of str to float
        What a policy's log-odds are multiplied by; 1 where none is given.
    at_most : int
        Experts chosen for one prompt at most, from 1 to 10; what they require comes in addition.
    threshold : float in (0, 1)
        Least probability of an expert against the base alone.
    share : float in (0, 1]
        A further expert joins if its probability is at least this share of the best one's.
    abstain : float in [0, 1)
        Least probability of the best expert among base and all candidates; below it the base answers.
    generic : GenericPatterns
    """

    order: tuple[str, ...] = POLICIES
    weights: Mapping[str, float] = field(default_factory=dict)
    at_most: int = 2
    threshold: float = 0.5
    share: float = 0.6
    abstain: float = 0.35
    generic: GenericPatterns = field(default_factory=GenericPatterns)

    def __post_init__(self) -> None:
        for name in (*self.order, *self.weights):
            if name not in POLICIES:
                raise RouterError(f"no policy {name!r}. {did_you_mean(name, POLICIES)}Known are {', '.join(POLICIES)}")
        if len(set(self.order)) < len(self.order):
            raise RouterError(f"order names a policy twice: {', '.join(self.order)}")
        if not all(math.isfinite(weight) and weight >= 0 for weight in self.weights.values()):
            raise RouterError("weights of policies must be finite and not negative")
        if not 1 <= self.at_most <= LONGEST_CHAIN:
            raise RouterError(f"at_most is {self.at_most}: give 1 to {LONGEST_CHAIN} experts")
        if not (0 < self.threshold < 1 and 0 < self.share <= 1 and 0 <= self.abstain < 1):
            raise RouterError("threshold must lie in (0, 1), share in (0, 1] and abstain in [0, 1)")

    @classmethod
    def read(cls, path: Path) -> RouterConfig:
        """A config of a TOML file.

        Raises
        ------
        RouterError
            If it cannot be read, or names what there is not.
        """
        try:
            facts = read_table(path)
        except TableError as error:
            raise RouterError(f"the router's config cannot be read: {error}") from error
        return cls.of(facts, str(path))

    @classmethod
    def of(cls, facts: Mapping[str, Any], where: str = "the router's config") -> RouterConfig:
        """A config of plain values, as TOML and JSON have them."""
        known = _checked(facts, cls, where)
        generic = known.pop("generic", {})
        if not isinstance(generic, Mapping):
            raise RouterError(f"{where}: generic is a table with whole, start and weight")
        try:
            made = GenericPatterns(**_checked(generic, GenericPatterns, f"{where}, generic"))
            return cls(**known, generic=made)
        except (TypeError, AttributeError) as error:
            raise RouterError(
                f"{where} holds a value of the wrong kind ({error}): see docs/running_experts.md"
            ) from error

    def as_json(self) -> dict[str, Any]:
        """Plain values, for :meth:`of`."""
        return asdict(self) | {"weights": dict(self.weights)}


def _checked(facts: Mapping[str, Any], kind: type, where: str) -> dict[str, Any]:
    names = [one.name for one in fields(kind)]
    for name in facts:
        if name not in names:
            raise RouterError(f"{where}: no setting {name!r}. {did_you_mean(name, names)}Known are {', '.join(names)}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in facts.items()}
