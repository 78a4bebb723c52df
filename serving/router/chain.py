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

from serving.router.config import RouterConfig
from serving.router.constraints import Choice, stand_together
from serving.router.outcomes import BASE
from serving.router.policy import Policy
from serving.router.profile import ExpertProfile
from serving.router.query import Query

_TIE = 1e-9


@dataclass
class Tally:
    """What the policies said together.

    Attributes
    ----------
    parts : dict of str to dict of str to float
        Weighted log-odds by expert, then by policy.
    base : float
        What speaks for the base.
    vetoed : dict of str to str
    decided : tuple of (str, str), or None
        The policy that ended the chain, and why.
    features : dict
    """

    parts: dict[str, dict[str, float]] = field(default_factory=dict)
    base: float = 0.0
    vetoed: dict[str, str] = field(default_factory=dict)
    decided: tuple[str, str] | None = None
    features: dict[str, Any] = field(default_factory=dict)

    def margin(self, name: str) -> float:
        """Log-odds of an expert against the base."""
        return sum(self.parts[name].values()) - self.base


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
    shifts: list[tuple[str, float, Mapping[str, float]]] = []
    for weight, policy in policies:
        verdict = policy.scores(query)
        if verdict.features:
            found.features[policy.name] = verdict.features
        if verdict.decided:
            found.decided = (policy.name, verdict.decided)
            break
        found.base += weight * verdict.base
        found.vetoed |= verdict.vetoed
        for name, score in verdict.scores.items():
            if name in profiles:
                found.parts.setdefault(name, {})[policy.name] = weight * score
        if verdict.shifts:
            shifts.append((policy.name, weight, verdict.shifts))
    for name in found.vetoed:
        found.parts.pop(name, None)
    for policy_name, weight, values in shifts:
        for name, parts in found.parts.items():
            if name in values:
                parts[policy_name] = parts.get(policy_name, 0.0) + weight * values[name]
    return found


def decide(found: Tally, profiles: Mapping[str, ExpertProfile], config: RouterConfig) -> Decision:
    """Choose among those that were proposed."""
    if found.decided is not None:
        return Decision(found, {}, {BASE: 1.0}, Choice(), found.decided[1], abstained=False)
    raw = {name: found.margin(name) for name in found.parts}
    rank = sorted(raw, key=lambda name: (-round(raw[name], 9), -profiles[name].priority, name))
    margins = {name: raw[name] for name in rank}
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


def _posterior(margins: Mapping[str, float]) -> dict[str, float]:
    top = max([0.0, *margins.values()])
    parts = {BASE: math.exp(-top)} | {name: math.exp(margin - top) for name, margin in margins.items()}
    total = sum(parts.values())
    return {name: part / total for name, part in parts.items()}
