"""Reasons of a method's model under thresholds: what is told of procedural fairness at a level."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from benchmarks.run.levels.allowed import BOUNDS, EXPLAINED_LEVELS, Allowed
from benchmarks.run.levels.choice import Choice, Variant
from benchmarks.run.levels.part import GAP, UTILITY
from metrics.evidence import Evidence
from metrics.thresholds import Thresholds
from moe.decision import decided_points

BOUNDED = (UTILITY, GAP)
"""Metrics of rows with a bound on reasons, beside the bounded one."""


@dataclass(frozen=True)
class Explained:
    """Evidence of a method's own model on validation and test rows.

    Attributes
    ----------
    validation, test : Evidence
    groups : (Tensor, Tensor)
        Of all rows of the two parts.
    n_groups : int
    """

    validation: Evidence
    test: Evidence
    groups: tuple[Tensor, Tensor]
    n_groups: int

    def under(self, cuts: Thresholds) -> dict[str, tuple[float, float]]:
        """Metric of :data:`benchmarks.run.levels.allowed.BOUNDS` → values on test and on validation rows."""
        seen, test = (
            decided_points(evidence, cuts, groups, self.n_groups)
            for evidence, groups in zip((self.validation, self.test), self.groups, strict=True)
        )
        return {metric: (test[metric], seen[metric]) for metric in BOUNDS}


def with_reasons(variant: Variant, explained: Explained) -> Variant:
    """The same with the values of reasons where they are told; thresholds change no attribution."""
    return replace(
        variant, found={demand: _told(demand, choice, explained) for demand, choice in variant.found.items()}
    )


def _told(demand: Allowed, choice: Choice | None, explained: Explained) -> Choice | None:
    if choice is None or choice.cuts is None or demand.gap != GAP or demand.level not in EXPLAINED_LEVELS:
        return choice
    return replace(choice, reasons=explained.under(choice.cuts))
