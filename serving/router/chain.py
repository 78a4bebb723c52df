"""Policies one after the other: their log-odds added up, and what follows from the sum.

For the base b and the experts k that some policy proposes, with weights w of policies::

    z_k = sum over policies of w * (score_k + shift_k),   z_b = sum of w * base
    p(k) = exp(z_k) / (exp(z_b) + sum of exp(z_j))

An expert fits if exp(z_k) / (exp(z_b) + exp(z_k)) reaches the threshold: against the base alone, so that an expert that
nobody proposes, or a rival, changes nothing about it. Ties go to the higher priority, then to the first name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serving.router.config import RouterConfig
from serving.router.constraints import Choice, stand_together
from serving.router.outcomes import BASE
from serving.router.policy import Policy
from serving.router.profile import ExpertProfile
from serving.router.query import Query

_TIE = 1e-9
FEW = 32
"""So many numbers are rounded faster one by one than as an array."""


Said = tuple[str, float, Mapping[str, float]]
"""A policy's name, its weight, and its log-odds by expert."""


@dataclass
class Tally:
    """What the policies said together.

    Attributes
    ----------
    scores, shifts : list of Said
        In the order of the chain.
    totals : dict of str to float
        Weighted log-odds of the experts that were proposed.
    base : float
        What speaks for the base.
    vetoed : dict of str to str
    decided : tuple of (str, str), or None
        The policy that ended the chain, and why.
    features : dict
    """

    scores: list[Said] = field(default_factory=list)
    shifts: list[Said] = field(default_factory=list)
    totals: dict[str, float] = field(default_factory=dict)
    base: float = 0.0
    vetoed: dict[str, str] = field(default_factory=dict)
    decided: tuple[str, str] | None = None
    features: dict[str, Any] = field(default_factory=dict)

    def parts(self, name: str) -> dict[str, float]:
        """Weighted log-odds of an expert by policy."""
        found: dict[str, float] = {}
        for policy, weight, values in (*self.scores, *self.shifts):
            if name in values:
                found[policy] = found.get(policy, 0.0) + weight * values[name]
        return found


@dataclass(frozen=True)
class Decision:
    """What follows: margins of candidates in their rank, the posterior, who was chosen, and in which way."""

    tally: Tally
    margins: Mapping[str, float]
    posterior: Mapping[str, float]
    choice: Choice
    reason: str
    abstained: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Experts that answer."""
        return tuple(self.choice.experts)


def tally(query: Query, policies: Sequence[tuple[float, Policy]], profiles: Mapping[str, ExpertProfile]) -> Tally:
    """Ask the policies in their order."""
    found = Tally()
    for weight, policy in policies:
        verdict = policy.scores(query)
        if verdict.features:
            found.features[policy.name] = verdict.features
        if verdict.decided:
            found.decided = (policy.name, verdict.decided)
            break
        found.base += weight * verdict.base
        found.vetoed |= verdict.vetoed
        if verdict.scores:
            found.scores.append((policy.name, weight, verdict.scores))
        if verdict.shifts:
            found.shifts.append((policy.name, weight, verdict.shifts))
    found.totals = _totals(found, profiles)
    return found


def _totals(found: Tally, profiles: Mapping[str, ExpertProfile]) -> dict[str, float]:
    """Sums of all policies; of a thousand candidates each line here costs what a policy costs."""
    totals: dict[str, float] = {}
    for _, weight, scores in found.scores:
        if not totals:
            totals = dict(scores) if weight == 1 else {name: weight * score for name, score in scores.items()}
            continue
        for name, score in scores.items():
            totals[name] = totals.get(name, 0.0) + weight * score
    for name in found.vetoed:
        totals.pop(name, None)
    if not totals.keys() <= profiles.keys():
        totals = {name: total for name, total in totals.items() if name in profiles}
    for _, weight, shifts in found.shifts:
        few, others = (totals, shifts) if len(totals) < len(shifts) else (shifts, totals)
        for name in few:
            if name in others:
                totals[name] += weight * shifts[name]
    return totals


def in_turn(profiles: Sequence[ExpertProfile]) -> dict[str, int]:
    """Places of experts where nothing else tells them apart: the higher priority first, then the first name."""
    ranked = sorted(profiles, key=lambda one: (-one.priority, one.name))
    return {one.name: place for place, one in enumerate(ranked)}


def decide(
    found: Tally, profiles: Mapping[str, ExpertProfile], config: RouterConfig, places: Mapping[str, int]
) -> Decision:
    """Choose among those that were proposed; ``places`` as :func:`in_turn` gives them."""
    if found.decided is not None:
        return Decision(found, {}, {BASE: 1.0}, Choice(), found.decided[1], abstained=False)
    margins = _ranked(found.totals, found.base, places)
    rank = list(margins)
    posterior = _posterior(margins)
    if not margins:
        reason = "the prompt rules out every expert that fits" if found.vetoed else "nothing speaks for an expert"
        return Decision(found, margins, posterior, Choice(), reason, abstained=False)
    best, unsure = margins[rank[0]], posterior[BASE] < 0.5
    if best < math.log(config.threshold / (1 - config.threshold)) + _TIE:
        reason = f"{rank[0]} is not likely enough against the base"
        return Decision(found, margins, posterior, Choice(), reason, unsure)
    if posterior[rank[0]] < config.abstain:
        reason = f"no expert of {len(rank)} reaches {config.abstain:g}"
        return Decision(found, margins, posterior, Choice(), reason, unsure)
    able = {name: one for name, one in profiles.items() if name not in found.vetoed} if found.vetoed else profiles
    choice = stand_together(_fitting(margins, config), able, config.at_most)
    if not choice.experts:
        return Decision(found, margins, posterior, choice, "; ".join(choice.refused.values()), unsure)
    return Decision(found, margins, posterior, choice, "", abstained=False)


def _fitting(margins: Mapping[str, float], config: RouterConfig) -> list[str]:
    """Experts that reach the threshold and the share of the best one."""
    least = math.log(config.threshold / (1 - config.threshold)) + _TIE
    near = max(margins.values()) + math.log(config.share) - _TIE
    return [name for name, margin in margins.items() if margin >= least and margin >= near]


def _ranked(totals: Mapping[str, float], base: float, places: Mapping[str, int]) -> dict[str, float]:
    """Margins over the base, the largest first, and in turn where they differ by rounding alone."""
    names = sorted(totals, key=places.__getitem__)
    margins = [totals[name] - base for name in names]
    few = len(margins) <= FEW
    rounded = [round(margin, 9) for margin in margins] if few else np.round(margins, 9).tolist()
    order = sorted(range(len(margins)), key=rounded.__getitem__, reverse=True)  # keeps the turn of those that tie
    return {names[place]: margins[place] for place in order}


def _posterior(margins: Mapping[str, float]) -> dict[str, float]:
    top = max([0.0, *margins.values()])
    parts = [math.exp(margin - top) for margin in (0.0, *margins.values())]
    total = sum(parts)
    return dict(zip((BASE, *margins), [part / total for part in parts], strict=True))
