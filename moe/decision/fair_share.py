"""The share of fair members in a decision: chosen across folds, and 0 unless it wins there.

Thresholds make any model fair at a price; a member that was trained to be fair may pay less of it. Whether it does is
asked of rows that did not choose the thresholds: for every fold thresholds are fitted on the other folds, and the fold
is decided by them. A share is kept if utility is higher by more than one standard error of the folds' differences and
the gap on these rows is no worse (but for noise); otherwise the mixture stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metrics.expected_labels import expected_labels
from metrics.points import point_values
from metrics.registry import COUNTS
from metrics.threshold_pool import Corners, corners_for
from metrics.thresholds import RATES, STEPS, ThresholdChoice, keeps, margins_of
from moe.decision.problem import RESULT, DecisionProblem, blend

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Shares of a fair member that are tried, beside 0."""

MEMBERS = 2
"""Fair members that are tried: those with the highest utility within the limits at an equal share."""


TOLERANCE = 0.005
"""By how much the gap on rows that did not choose may exceed that of the mixture as it is: less than its noise."""


Pools = dict[tuple[tuple[float, ...], int, Corners], ThresholdChoice | None]
"""Coarse pools by shares, fold that is left out, and corners."""


@dataclass(frozen=True)
class _Held:
    """Decisions for rows that did not choose them, for C candidates and L limits.

    Attributes
    ----------
    utility : [C, L, F] float64
        By fold; nan where nothing keeps the limit.
    gap : [C, L] float64
        Of all rows.
    """

    utility: Tensor
    gap: Tensor


def fair_shares(
    problem: DecisionProblem, gap: str, limits: Sequence[float], pools: Pools | None = None
) -> list[Tensor]:
    """[m] float64 shares for each limit.

    Parameters
    ----------
    problem : DecisionProblem
    gap : str
    limits : sequence of float
        Those that are demanded.
    pools : dict, optional
        Kept between calls for one problem, so that gaps share pools.
    """
    plain = problem.corner()
    fair = _promising(problem, gap, limits)
    if not fair:
        return [plain] * len(limits)
    candidates = [plain, *((1 - s) * plain + s * problem.corner(k) for k in fair for s in SHARES)]
    held = _held(problem, candidates, gap, limits, {} if pools is None else pools)
    return [candidates[_winner(held, at, limit, gap)] for at, limit in enumerate(limits)]


def _promising(problem: DecisionProblem, gap: str, limits: Sequence[float]) -> list[int]:
    """Fair members that are worth trying."""
    fair = problem.of_role(RESULT)
    if len(fair) <= MEMBERS:
        return fair
    rows = torch.arange(len(problem.labels))
    mixed = {k: (problem.corner() + problem.corner(k)) / 2 for k in fair}
    worth = {k: _worth(_choice(problem, blend(problem.members, s), rows, gap), gap, limits) for k, s in mixed.items()}
    return sorted(fair, key=lambda k: (-worth[k], k))[:MEMBERS]


def _worth(choice: ThresholdChoice | None, gap: str, limits: Sequence[float]) -> float:
    found = [] if choice is None else [one for one in choice.best(limits, gap, refined=()) if one is not None]
    return sum(one.worth for one in found)


def _choice(problem: DecisionProblem, probability: Tensor, rows: Tensor, gap: str) -> ThresholdChoice | None:
    """A coarse pool of some rows."""
    known = problem.labels[rows], problem.groups[rows], problem.n_groups
    expected = expected_labels(margins_of(probability[rows]), *known)
    corners = corners_for(COUNTS[gap].statistic.rates)
    return ThresholdChoice.of(probability[rows], *known, expected=expected, rates=RATES, steps=STEPS, corners=corners)


def _held(problem: DecisionProblem, candidates: list[Tensor], gap: str, limits: Sequence[float], pools: Pools) -> _Held:
    n, folds = len(problem.labels), torch.unique(problem.fold)
    decided = torch.full((len(candidates), len(limits), n), torch.nan, dtype=torch.float64)
    for at, shares in enumerate(candidates):
        probability = blend(problem.members, shares)
        for fold in folds:
            mine = problem.fold == fold
            key = tuple(shares.tolist()), int(fold), corners_for(COUNTS[gap].statistic.rates)
            if key not in pools:
                pools[key] = _choice(problem, probability, torch.nonzero(~mine).flatten(), gap)
            choice = pools[key]
            found = [None] * len(limits) if choice is None else choice.best(limits, gap, refined=())
            for place, one in enumerate(found):
                if one is not None:
                    decided[at, place, mine] = one.apply(probability[mine], problem.groups[mine])
    utility = torch.stack([_values(problem, decided, problem.fold == fold, "utility@1") for fold in folds], -1)
    return _Held(utility, _values(problem, decided, torch.ones(n, dtype=torch.bool), gap))


def _values(problem: DecisionProblem, decided: Tensor, mine: Tensor, metric: str) -> Tensor:
    """[C, L] a metric on some rows."""
    known = problem.labels[mine], problem.groups[mine], problem.n_groups
    flat = point_values(decided[..., mine].flatten(0, 1), *known, metrics=[metric])[metric]
    return flat.view(decided.shape[:2])


def _winner(held: _Held, at: int, limit: float, gap: str) -> int:
    """The candidate with the highest utility among those that win; 0, the mixture as it is, where none does."""
    gain = held.utility[:, at] - held.utility[0, at]  # [C, F]
    mean, error = gain.mean(-1), gain.std(-1) / math.sqrt(gain.shape[-1])
    gaps = held.gap[:, at]
    worse = (gaps - gaps[0]) * (1 if COUNTS[gap].statistic.direction == "lower" else -1)
    fair = keeps(gaps, limit, gap) | (worse <= TOLERANCE)
    wins = (mean > error) & (mean > 0) & fair
    return int(torch.where(wins, mean, -torch.inf).argmax()) if bool(wins.any()) else 0
