"""Who contends at a fairness level: methods in their variants, and the sides on which they stand.

Which side a method stands on is said by its record (``MethodRow.levels``): a *mixture* whose standing is told, a
*rival* that it has to beat, a *reference* that pooled utilities are measured from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reports.method import KNOWS_GROUP, Method, by_reading

PLAIN, THRESHOLDS, OOF, DECISION = "plain", "thresholds", "oof", "decision"
SUFFIXES = {
    PLAIN: "",
    THRESHOLDS: " + thresholds",
    OOF: " + OOF thresholds",
    "oof80": " + OOF thresholds, κ = .8",
    "oof60": " + OOF thresholds, κ = .6",
    DECISION: " + decision layer",
}
"""Variant → what its name ends with, in the order of tables; see ``reports.table.FURTHER`` for what they are."""

VARIANTS = tuple(SUFFIXES)
MARGINS = (OOF, "oof80", "oof60")
"""Out-of-fold thresholds by falling share of the level that they may use."""

Id = tuple[str, str]
"""(method, variant)."""


@dataclass(frozen=True)
class Contender:
    """A method in one variant."""

    method: Method
    variant: str

    @property
    def id(self) -> Id:
        """(method, variant)."""
        return self.method.id, self.variant

    @property
    def label(self) -> str:
        """Name with its variant; thresholds by group must know the group, whatever stands below them."""
        if self.variant == PLAIN:
            return self.method.label
        return self.method.label.removesuffix(KNOWS_GROUP) + SUFFIXES[self.variant] + KNOWS_GROUP

    @property
    def suffix(self) -> str:
        """What follows the method's name; empty for its own models."""
        mark = "" if self.variant == PLAIN or self.method.label.endswith(KNOWS_GROUP) else KNOWS_GROUP
        return SUFFIXES[self.variant].strip() + mark


def contenders_of(methods: Iterable[Method], have: frozenset[Id]) -> tuple[Contender, ...]:
    """Contenders that have rows: in the order of the suite, variants in theirs."""
    return tuple(Contender(m, v) for m in methods for v in VARIANTS if (m.id, v) in have)


def mixtures_of(contenders: Sequence[Contender]) -> tuple[Contender, ...]:
    """Mixtures whose standing is told, by what they read."""
    order = by_reading(_methods(contenders))
    return tuple(c for m in order for c in _on_side(contenders, "mixture") if c.method == m)


def rivals_of(contenders: Sequence[Contender]) -> tuple[Contender, ...]:
    """What a mixture has to beat: models with thresholds as :func:`references_of` has them, then fairness methods.

    Of the latter, those that mixtures are compared with elsewhere come first.
    """
    rivals = _on_side(contenders, "rival")
    named = [other for c in mixtures_of(contenders) for _, other in c.method.row.compared]
    place = {method: i for i, method in reversed(list(enumerate(named)))}
    plain = sorted((c for c in rivals if c.variant == PLAIN), key=lambda c: place.get(c.method.id, len(named)))
    order = by_reading([c.method for c in plain])
    thresholded = sorted((c for c in rivals if c.variant != PLAIN), key=lambda c: _strength(c, contenders))
    return (*thresholded, *sorted(plain, key=lambda c: order.index(c.method)))


def references_of(contenders: Sequence[Contender]) -> tuple[Contender, ...]:
    """What utilities may be measured from, the preferred one first: a baseline, a rival, the later one in the suite."""
    return tuple(sorted(_on_side(contenders, "reference"), key=lambda c: _strength(c, contenders)))


def _strength(contender: Contender, among: Sequence[Contender]) -> tuple[bool, bool, int]:
    sides = {side for side, _ in contender.method.row.levels}
    return (contender.method.kind == "expert", "rival" not in sides, -among.index(contender))


def _on_side(contenders: Sequence[Contender], side: str) -> list[Contender]:
    return [c for c in contenders if (side, c.variant) in c.method.row.levels]


def _methods(contenders: Sequence[Contender]) -> list[Method]:
    return list(dict.fromkeys(c.method for c in contenders))
