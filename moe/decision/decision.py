"""A fitted decision: shares of members, and the rule by which the mixture is cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from metrics.thresholds import Thresholds, margins_of
from moe.decision.batch import batch_cuts
from moe.decision.demand import Demand
from moe.decision.linear_post import LinearRule
from moe.decision.problem import blend


@dataclass(frozen=True, eq=False)
class Decision:
    """What was chosen for a demand.

    Attributes
    ----------
    demand : Demand
    shares : [m] float64
        Of the members, in the order of the problem; on the simplex.
    rule : Thresholds or LinearRule
        "aware" and "batch": a threshold per group. "blind": a cut that is linear in the model of (label, group).
    rates : [g] float64
        Selection rates on the rows that chose: what "batch" reproduces.
    kappa : float
        The margin that was used.
    disparity, worth : float
        Gap and ``utility@1`` on the rows that chose, by expected labels.
    transfer, ceiling : float
        Probability that as many new rows as the problem names keep the limit, and what a rule of gap 0 would reach.
    procedural : float
        Value of the bounded procedural metric; nan without a bound.
    further : mapping
        What is told of the choice beside it, such as ``reached`` (whether a stated transfer probability was).
    """

    demand: Demand
    shares: Tensor
    rule: Thresholds | LinearRule
    rates: Tensor
    kappa: float
    disparity: float
    worth: float
    transfer: float
    ceiling: float
    procedural: float = float("nan")
    further: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, members: Tensor, groups: Tensor | None = None, joint: Tensor | None = None) -> Tensor:
        """[n] float64 probabilities whose cut at 0.5 is the decision.

        Parameters
        ----------
        members : [m, n] float
            Margins of the members, in the order of the problem; those of share 0 are not looked at.
        groups : [n] int64
            For "aware" and "batch". For "batch" the rows are the batch.
        joint : [n, g, 2] float64
            P(group, label | x), for "blind".

        Raises
        ------
        ValueError
            If what the mode needs is not given.
        """
        return self.decide(blend(members, self.shares), groups, joint)

    def decide(self, probability: Tensor, groups: Tensor | None = None, joint: Tensor | None = None) -> Tensor:
        """[n] float64 the same from the mixed probability [n]."""
        if isinstance(self.rule, LinearRule):
            if joint is None:
                raise ValueError("a blind decision needs P(group, label | x) of the rows: pass joint")
            return self.rule.apply(probability, joint)
        if groups is None:
            raise ValueError(f"a decision of the mode {self.demand.mode!r} needs the rows' groups: pass groups")
        if self.demand.mode == "batch":
            cuts = batch_cuts(margins_of(probability), groups, self.rates, self.rule.cuts)
            return Thresholds(cuts, self.disparity).apply(probability, groups)
        return self.rule.apply(probability, groups)

    @property
    def members(self) -> list[int]:
        """Places of the members that have a share."""
        found: list[int] = torch.nonzero(self.shares).flatten().tolist()
        return found
