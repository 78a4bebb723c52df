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
from itertools import repeat
from operator import itemgetter
from typing import Any

import numpy as np

from serving.router.config import RouterConfig
from serving.router.constraints import Choice, stand_together
from serving.router.outcomes import BASE
from serving.router.policy import Policy
from serving.router.profile import ExpertProfile
from serving.router.query import Query

_TIE = 1e-9
FEW = 48
"""So many candidates are weighed faster one by one than as arrays; both ways lead to the same decisions."""


Said = tuple[str, float, Mapping[str, float]]
"""A policy's name, its weight, and its log-odds by expert."""


@dataclass
class Tally:
    """What the policies said together.

    Attributes
    ----------
    scores, shifts : list of Said
        In the order of the chain.
    proposed : dict of str to float
        Weighted log-odds of the experts that were proposed, before ``shifts``.
    base : float
        What speaks for the base.
    vetoed : dict of str to str
    decided : tuple of (str, str), or None
        The policy that ended the chain, and why.
    features : dict
    """

    scores: list[Said] = field(default_factory=list)
    shifts: list[Said] = field(default_factory=list)
    proposed: dict[str, float] = field(default_factory=dict)
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
    found.proposed = _proposed(found, profiles)
    return found


def _proposed(found: Tally, profiles: Mapping[str, ExpertProfile]) -> dict[str, float]:
    """Sums of the scores of all policies; of a thousand candidates each line here costs what a policy costs."""
    sums: dict[str, float] = {}
    for _, weight, scores in found.scores:
        if not sums:
            sums = dict(scores) if weight == 1 else {name: weight * score for name, score in scores.items()}
            continue
        for name, score in scores.items():
            sums[name] = sums.get(name, 0.0) + weight * score
    for name in found.vetoed:
        sums.pop(name, None)
    if not sums.keys() <= profiles.keys():
        sums = {name: score for name, score in sums.items() if name in profiles}
    return sums


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
    many = len(found.proposed) > FEW
    margins, posterior = (_weighed_as_arrays if many else _weighed)(found, places)
    rank = list(margins)
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
    """Experts that reach the threshold and the share of the best one, in their rank."""
    least = math.log(config.threshold / (1 - config.threshold)) + _TIE
    near = max(margins.values()) + math.log(config.share) - _TIE
    bound, fitting = max(least, near), []
    for name, margin in margins.items():
        if margin >= bound:
            fitting.append(name)
        elif margin < bound - 10 * _TIE:  # those behind are larger by rounding at most
            break
    return fitting


def _weighed(found: Tally, places: Mapping[str, int]) -> tuple[dict[str, float], dict[str, float]]:
    """Margins over the base, the largest first and in turn where they differ by rounding alone; and the posterior."""
    names = sorted(found.proposed, key=places.__getitem__)
    margins = [found.proposed[name] for name in names]
    for _, weight, shifts in found.shifts:
        for place, name in enumerate(names):
            if name in shifts:
                margins[place] += weight * shifts[name]
    margins = [margin - found.base for margin in margins]
    rounded = [round(margin, 9) for margin in margins]
    order = sorted(range(len(margins)), key=rounded.__getitem__, reverse=True)  # keeps the turn of those that tie
    ranked = {names[place]: margins[place] for place in order}
    top = max([0.0, *margins])
    parts = [math.exp(margin - top) for margin in (0.0, *ranked.values())]
    total = sum(parts)
    return ranked, dict(zip((BASE, *ranked), [part / total for part in parts], strict=True))


def _weighed_as_arrays(found: Tally, places: Mapping[str, int]) -> tuple[dict[str, float], dict[str, float]]:
    """The same sums in the same order, each over all candidates at once.

    Neither ``np.exp`` nor ``np.sum``, which round in another way; experts with the same margin take one exponential.
    """
    names, count = found.proposed, len(found.proposed)
    margins = np.fromiter(names.values(), float, count)
    for _, weight, shifts in found.shifts:
        margins += weight * np.fromiter(map(shifts.get, names, repeat(0.0)), float, count)
    margins -= found.base
    turns = np.fromiter(map(places.__getitem__, names), np.int64, count)
    order = np.lexsort((turns, -np.round(margins, 9)))
    margins, rank = margins[order], itemgetter(*order.tolist())(tuple(names))
    top = max(0.0, float(margins.max()))
    starts = np.flatnonzero(np.r_[True, margins[1:] != margins[:-1]])
    different = np.fromiter(map(math.exp, (margins[starts] - top).tolist()), float, len(starts))
    parts = np.concatenate(([math.exp(-top)], np.repeat(different, np.diff(starts, append=count))))
    shares = (parts / sum(parts.tolist())).tolist()
    return dict(zip(rank, margins.tolist(), strict=True)), dict(zip((BASE, *rank), shares, strict=True))
