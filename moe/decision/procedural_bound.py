"""Mixtures whose reasons keep a bound: which share of procedural members is needed, and what it costs.

Candidates are mixtures of the utility mixture with one procedural member on a grid of shares. Every one gets the
thresholds of the demand, and is measured as it would be scored: on explained rows, with the cut in its probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metrics.evidence import Evidence
from metrics.procedural.counterfactual import flips
from metrics.procedural.measures import procedural_points
from metrics.thresholds import Thresholds
from moe.decision.problem import PROCEDURAL, DecisionProblem

SHARES = tuple(k / 8 for k in range(1, 9))
FLIPS = "cfr@1"


def procedural_candidates(problem: DecisionProblem) -> list[Tensor]:
    """[m] float64 shares to try; the utility mixture alone first."""
    plain = problem.corner()
    members = problem.of_role(PROCEDURAL)
    return [plain, *((1 - s) * plain + s * problem.corner(k) for k in members for s in SHARES)]


def procedural_value(problem: DecisionProblem, shares: Tensor, thresholds: Thresholds, metric: str) -> float:
    """A procedural metric of a decision, on the explained rows.

    Raises
    ------
    ValueError
        If there are no explained rows, or they lack what the metric needs.
    """
    if problem.explained is None:
        raise ValueError(f"a bound on {metric} needs explained rows: give the problem the members' evidence")
    rows = problem.explained.rows
    mixed = mixed_evidence([(float(shares[k]), problem.explained.members[k]) for k in _used(shares)], metric)
    groups = problem.groups[rows]
    probability = thresholds.apply(mixed.probability, groups)
    if metric == FLIPS:
        return float(flips(probability, _moved(mixed, thresholds), groups).mean())
    assert mixed.masked is not None and mixed.attributions is not None  # mixed_evidence has checked
    masked = thresholds.apply(mixed.masked, groups)
    values = procedural_points(probability[None], masked[None], mixed.attributions[None], groups, problem.n_groups)
    return float(values[metric][0])


def _used(shares: Tensor) -> list[int]:
    found: list[int] = torch.nonzero(shares).flatten().tolist()
    return found


def _moved(mixed: Evidence, thresholds: Thresholds) -> Tensor:
    """[e, g] probabilities of the rows moved to each group, with that group's cut."""
    assert mixed.counterfactual is not None  # mixed_evidence has checked
    columns = [
        thresholds.apply(column, torch.full((len(column),), group))
        for group, column in enumerate(mixed.counterfactual.T)
    ]
    return torch.stack(columns, -1)


def mixed_evidence(parts: list[tuple[float, Evidence]], metric: str) -> Evidence:
    """Evidence of a mixture of members by shares.

    Probabilities mix exactly. Attributions follow by the chain rule to first order: the mixture's margin moves with a
    member's margin by ``share p_k (1 - p_k) / (p (1 - p))``. A masked probability is the mixture of the members' own:
    each with its own most important column masked.
    """
    _check(parts, metric)
    probability = sum(share * e.probability.to(torch.float64) for share, e in parts)
    assert isinstance(probability, Tensor)
    if metric == FLIPS:
        return Evidence(probability, counterfactual=_mean(parts, "counterfactual"))
    spread = (probability * (1 - probability)).clamp(min=1e-12)
    attributions = torch.zeros_like(parts[0][1].attributions, dtype=torch.float64)  # type: ignore[arg-type]
    for share, e in parts:
        own = e.probability.to(torch.float64)
        attributions += (share * own * (1 - own) / spread)[:, None] * e.attributions  # type: ignore[operator]
    return Evidence(probability, attributions, _mean(parts, "masked"))


def _mean(parts: list[tuple[float, Evidence]], what: str) -> Tensor:
    total = sum(share * getattr(e, what).to(torch.float64) for share, e in parts)
    assert isinstance(total, Tensor)
    return total


def _check(parts: list[tuple[float, Evidence]], metric: str) -> None:
    needed = ["counterfactual"] if metric == FLIPS else ["attributions", "masked"]
    missing = [name for name in needed if any(getattr(e, name) is None for _, e in parts)]
    if missing:
        raise ValueError(f"a bound on {metric} needs {' and '.join(missing)} of every member")


@dataclass(frozen=True)
class Bounded:
    """Shares that keep a procedural bound with thresholds that keep the gap."""

    shares: Tensor
    thresholds: Thresholds
    value: float
