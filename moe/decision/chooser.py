"""Thresholds of blends of members, each pool computed once for all demands of a cell."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from metrics.expected_labels import expected_labels
from metrics.registry import COUNTS
from metrics.threshold_pool import Corners, corners_for
from metrics.thresholds import RATES, STEPS, ThresholdChoice, Thresholds, margins_of
from moe.decision.problem import DecisionProblem, blend
from moe.decision.procedural_bound import FLIPS, Reasons, procedural_candidates

Key = tuple[float, ...]


@dataclass
class Chooser:
    """What the demands on one problem share: expected labels and pools by shares of members."""

    problem: DecisionProblem
    _expected: dict[Key, Tensor] = field(default_factory=dict)
    _choices: dict[tuple[Key, Corners], ThresholdChoice | None] = field(default_factory=dict)
    _found: dict[tuple[Key, str, float], Thresholds | None] = field(default_factory=dict)
    _coarse: dict[tuple[Key, Corners], ThresholdChoice | None] = field(default_factory=dict)
    _reasons: dict[str, Reasons] = field(default_factory=dict)

    def probability(self, shares: Tensor) -> Tensor:
        """[n] float64 mixed probability."""
        return blend(self.problem.members, shares)

    def expected(self, shares: Tensor) -> Tensor:
        """[n] float64 expected labels by the mixed probability."""
        key = tuple(shares.tolist())
        if key not in self._expected:
            p = self.problem
            self._expected[key] = expected_labels(margins_of(self.probability(shares)), p.labels, p.groups, p.n_groups)
        return self._expected[key]

    def prepare(self, shares: Tensor, gap: str, limits: list[float]) -> None:
        """Find thresholds for several limits at once, which is faster than one by one."""
        new = [limit for limit in dict.fromkeys(limits) if (tuple(shares.tolist()), gap, limit) not in self._found]
        found = self._best(shares, gap, new)
        self._found |= {(tuple(shares.tolist()), gap, limit): one for limit, one in zip(new, found, strict=True)}

    def thresholds(self, shares: Tensor, gap: str, limit: float) -> Thresholds | None:
        """The thresholds of the highest expected utility within a limit; None where nothing keeps it."""
        self.prepare(shares, gap, [limit])
        return self._found[tuple(shares.tolist()), gap, limit]

    def coarse(self, shares: Tensor, gap: str, limit: float) -> Thresholds | None:
        """The same from a coarse pool: enough to tell many mixtures apart."""
        key = tuple(shares.tolist()), corners_for(COUNTS[gap].statistic.rates)
        if key not in self._coarse:
            self._coarse[key] = self._choice(shares, key[1], {"rates": RATES, "steps": STEPS})
        choice = self._coarse[key]
        return None if choice is None else choice.best([limit], gap, refined=())[0]

    def reasons(self, metric: str) -> Reasons:
        """What candidates for a procedural bound are measured on, with all that they will be asked."""
        kind = "flips" if metric == FLIPS else "reasons"
        if kind not in self._reasons:
            self._reasons[kind] = Reasons.of(self.problem, metric)
            self._reasons[kind].prepare(procedural_candidates(self.problem), metric)
        return self._reasons[kind]

    def _choice(self, shares: Tensor, corners: Corners, fineness: dict[str, int]) -> ThresholdChoice | None:
        p = self.problem
        return ThresholdChoice.of(
            self.probability(shares),
            p.labels,
            p.groups,
            p.n_groups,
            expected=self.expected(shares),
            corners=corners,
            **fineness,
        )

    def _best(self, shares: Tensor, gap: str, limits: list[float]) -> list[Thresholds | None]:
        corners = corners_for(COUNTS[gap].statistic.rates)
        key = tuple(shares.tolist()), corners
        if key not in self._choices:
            self._choices[key] = self._choice(shares, corners, {})
        choice = self._choices[key]
        return [None] * len(limits) if choice is None else choice.best(limits, gap)


def expected_table(selected: Tensor, expected: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """[g, 2, 2] float64 count table of decisions [n] bool with expected labels [n] in place of labels."""
    cells = torch.nn.functional.one_hot(groups, n_groups).to(torch.float64)
    labels = torch.stack((1 - expected, expected), -1)
    predictions = torch.stack((~selected, selected), -1).to(torch.float64)
    return torch.einsum("ng,ny,np->gyp", cells, labels, predictions)
