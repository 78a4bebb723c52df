"""Mixtures whose reasons keep a bound: which share of other members is needed, and what it costs.

Candidates are mixtures of the utility mixture with one other member on a grid of shares. Every one gets the thresholds
of the demand, and is measured as it would be scored: on explained rows, with the cut in its probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from metrics.evidence import Evidence
from metrics.procedural.counterfactual import flips
from metrics.procedural.measures import procedural_points
from metrics.thresholds import Thresholds
from moe.decision.masked_columns import MaskedColumns
from moe.decision.problem import DecisionProblem

SHARES = tuple(k / 8 for k in range(1, 9))
FLIPS = "cfr@1"


def procedural_candidates(problem: DecisionProblem) -> list[Tensor]:
    """[m] float64 shares to try; the utility mixture alone first."""
    plain = problem.corner()
    members = range(1, len(problem.roles))
    return [plain, *((1 - s) * plain + s * problem.corner(k) for k in members for s in SHARES)]


@dataclass(frozen=True)
class Reasons:
    """Evidence of mixtures of members on explained rows: what a bound is measured on.

    Attributes
    ----------
    members : sequence of Evidence
        Of members of share 0 nothing is looked at.
    groups : [e] int64
    n_groups : int
    masked : MaskedColumns or None
        Answers with a column unknown; None: those of the evidence, each member's own most important column.
    """

    members: Sequence[Evidence | None]
    groups: Tensor
    n_groups: int
    masked: MaskedColumns | None = None
    _mixed: dict[tuple[float, ...], Evidence] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, problem: DecisionProblem, metric: str) -> Reasons:
        """Of a problem.

        Raises
        ------
        ValueError
            If there are no explained rows.
        """
        explained = problem.explained
        if explained is None:
            raise ValueError(f"a bound on {metric} needs explained rows: give the problem the members' evidence")
        masked = None if explained.ask is None else MaskedColumns(explained.ask)
        return cls(explained.members, problem.groups[explained.rows], problem.n_groups, masked)

    def mixed(self, shares: Tensor, metric: str) -> Evidence:
        """Evidence of a mixture by shares [m]: :func:`mixed_evidence`, its own most important columns masked."""
        key = (float(metric == FLIPS), *shares.tolist())
        if key not in self._mixed:
            self._mixed[key] = self._of(shares, metric)
        return self._mixed[key]

    def _of(self, shares: Tensor, metric: str) -> Evidence:
        found = mixed_evidence(self._parts(shares), metric, own_masked=self.masked is None)
        if self.masked is None or metric == FLIPS:
            return found
        assert found.attributions is not None  # mixed_evidence has checked
        columns = found.attributions.abs().argmax(1)
        answers = sum(float(shares[k]) * self.masked.probability(k, columns) for k in _used(shares))
        assert isinstance(answers, Tensor)
        return Evidence(found.probability, found.attributions, answers)

    def _parts(self, shares: Tensor) -> list[tuple[float, Evidence]]:
        return [(float(shares[k]), part) for k in _used(shares) if (part := self.members[k]) is not None]

    def prepare(self, candidates: Sequence[Tensor], metric: str) -> None:
        """Ask members once for all that :meth:`mixed` will want of several mixtures."""
        if self.masked is None or metric == FLIPS:
            return
        wanted: dict[int, list[Tensor]] = {}
        for shares in candidates:
            attributions = mixed_evidence(self._parts(shares), metric, own_masked=False).attributions
            assert attributions is not None  # mixed_evidence has checked
            for k in _used(shares):
                wanted.setdefault(k, []).append(attributions.abs().argmax(1))
        for k, columns in wanted.items():
            self.masked.prepare(k, torch.stack(columns))

    def value(self, shares: Tensor, thresholds: Thresholds, metric: str) -> float:
        """A procedural metric of a decision."""
        mixed = self.mixed(shares, metric)
        if metric == FLIPS:
            probability = thresholds.apply(mixed.probability, self.groups)
            return float(flips(probability, _moved(mixed, thresholds), self.groups).mean())
        return decided_points(mixed, thresholds, self.groups, self.n_groups)[metric]


def _used(shares: Tensor) -> list[int]:
    found: list[int] = torch.nonzero(shares).flatten().tolist()
    return found


def decided_points(evidence: Evidence, thresholds: Thresholds, groups: Tensor, n_groups: int) -> dict[str, float]:
    """Procedural metrics of a model whose probabilities are moved by thresholds: a group's cut is no reason.

    Parameters
    ----------
    evidence : Evidence
        With attributions and masked probabilities.
    thresholds : Thresholds
    groups : [r] int64
        Of all rows of the evidence.
    n_groups : int
    """
    assert evidence.masked is not None and evidence.attributions is not None
    groups = evidence.of_explained(groups)
    probability = thresholds.apply(evidence.of_explained(evidence.probability), groups)
    masked = thresholds.apply(evidence.masked, groups)
    values = procedural_points(probability[None], masked[None], evidence.attributions[None], groups, n_groups)
    return {metric: float(value[0]) for metric, value in values.items()}


def _moved(mixed: Evidence, thresholds: Thresholds) -> Tensor:
    """[e, g] probabilities of the rows moved to each group, with that group's cut."""
    assert mixed.counterfactual is not None  # mixed_evidence has checked
    columns = [
        thresholds.apply(column, torch.full((len(column),), group))
        for group, column in enumerate(mixed.counterfactual.T)
    ]
    return torch.stack(columns, -1)


def mixed_evidence(parts: list[tuple[float, Evidence]], metric: str, *, own_masked: bool = True) -> Evidence:
    """Evidence of a mixture of members by shares.

    Probabilities mix exactly. Attributions follow by the chain rule to first order: the mixture's margin moves with a
    member's margin by ``share p_k (1 - p_k) / (p (1 - p))``. A masked probability is the mixture of the members' own:
    each with its own most important column masked; ``own_masked=False`` leaves it out.
    """
    _check(parts, metric, own_masked=own_masked)
    probability = sum(share * e.probability.to(torch.float64) for share, e in parts)
    assert isinstance(probability, Tensor)
    if metric == FLIPS:
        return Evidence(probability, counterfactual=_mean(parts, "counterfactual"))
    spread = (probability * (1 - probability)).clamp(min=1e-12)
    attributions = torch.zeros_like(parts[0][1].attributions, dtype=torch.float64)  # type: ignore[arg-type]
    for share, e in parts:
        own = e.probability.to(torch.float64)
        attributions += (share * own * (1 - own) / spread)[:, None] * e.attributions  # type: ignore[operator]
    return Evidence(probability, attributions, _mean(parts, "masked") if own_masked else None)


def _mean(parts: list[tuple[float, Evidence]], what: str) -> Tensor:
    total = sum(share * getattr(e, what).to(torch.float64) for share, e in parts)
    assert isinstance(total, Tensor)
    return total


def _check(parts: list[tuple[float, Evidence]], metric: str, *, own_masked: bool) -> None:
    reasons = ["attributions", "masked"] if own_masked else ["attributions"]
    needed = ["counterfactual"] if metric == FLIPS else reasons
    missing = [name for name in needed if any(getattr(e, name) is None for _, e in parts)]
    if missing:
        raise ValueError(f"a bound on {metric} needs {' and '.join(missing)} of every member")


@dataclass(frozen=True)
class Bounded:
    """Shares that keep a procedural bound with thresholds that keep the gap."""

    shares: Tensor
    thresholds: Thresholds
    value: float
