"""Reasons of a recommended model on validation rows: what a bound on them is checked by."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.choice.cross_fit.ways import DECISION, OUT_OF_FOLD, Fit
from metrics.evidence import Evidence
from metrics.thresholds import Thresholds
from moe.decision import decided_points

UNKNOWN = math.nan


@dataclass(frozen=True, eq=False)
class Told:
    """Reasons of a method's chosen model, as its cell stores them.

    Attributes
    ----------
    evidence : Evidence or None
        On validation rows; None where the method tells none.
    groups : [v] int64
    n_groups : int
    own_bag : bool
        Whether the chosen model is the bag itself, so that the bag's reasons are known.
    """

    evidence: Evidence | None
    groups: Tensor
    n_groups: int
    own_bag: bool

    def value(self, way: str, fit: Fit, metric: str) -> float:
        """A procedural metric of what a way chose; nan where its reasons are not known.

        Known are those of the chosen model, as it is or under thresholds: these change decisions, not attributions.
        """
        cuts = self._cuts(way, fit)
        if cuts is None or self.evidence is None:
            return UNKNOWN
        if self.evidence.attributions is None or self.evidence.masked is None:
            return UNKNOWN
        return decided_points(self.evidence, cuts, self.groups, self.n_groups)[metric]

    def _cuts(self, way: str, fit: Fit) -> Thresholds | None:
        """By which the chosen model's probabilities are moved; None where another model answers."""
        if fit.trial is not None or (way in (OUT_OF_FOLD, DECISION) and not self.own_bag):
            return None
        if fit.decision is not None:
            rule = fit.decision.rule
            return rule if isinstance(rule, Thresholds) and fit.decision.members == [0] else None
        return fit.cuts or Thresholds(torch.zeros(self.n_groups, dtype=torch.float64), math.nan)
