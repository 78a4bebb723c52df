"""LinearPost: the fair classifier that is a linear cut of a model of (group, label).

Xian & Zhao, "A unified post-processing framework for group fairness in classification", arXiv 2405.04025. Let
``q(x)[a, y] = P(A = a, Y = y | x)``. Among all classifiers h: x -> [0, 1] whose gap is at most a limit, one with the
lowest cost has the form ``h(x) = 1[<v, q(x)> > 0]``: it is the solution of a linear program in the h of the rows, and v
follows from the duals. With the group known q is 0 outside the row's own group, and the cut is a threshold per group.

Here the cost is that of a threshold t (``P(Y = 1 | x) - t`` is gained by selecting a row: t = 1/2 is accuracy, smaller
ones are F1), and gaps are those of rates that are mean predictions over (group, label), ``rate_a(h) = sum_x w_a(x) h(x)
/ sum_x w_a(x)`` where ``w_a(x)`` is the sum of ``q(x)[a, y]`` over the labels that the rate speaks of.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metrics.counts.metric import CountMetric
from metrics.counts.rates import Rate
from metrics.counts.statistics import Gap, MeanGap
from metrics.registry import COUNTS
from metrics.thresholds import margins_of

Floats = npt.NDArray[np.float64]

EDGE = 1e-6
"""Row thresholds are held within (EDGE, 1 - EDGE) when they are told as margins."""


class InfeasibleError(ValueError):
    """No classifier keeps a limit."""


@dataclass(frozen=True, eq=False)
class LinearRule:
    """A row is selected iff ``p > t + <multipliers, q(x)>``.

    Attributes
    ----------
    multipliers : [g, 2] float64
        What the row's probable memberships (group, label) add to its threshold.
    t : float
        The threshold without them.
    """

    multipliers: Tensor
    t: float

    def cut(self, joint: Tensor) -> Tensor:
        """[n] float64 threshold of each row's probability, from P(group, label | x) [n, g, 2]; may leave [0, 1]."""
        return self.t + (joint.to(torch.float64) * self.multipliers).sum((-2, -1))

    def apply(self, probability: Tensor, joint: Tensor) -> Tensor:
        """[n] float64 probabilities whose cut at 0.5 is the rule: margins are moved by that of the row's threshold."""
        p = probability.to(torch.float64).clamp(2 * EDGE, 1 - 2 * EDGE)
        return torch.sigmoid(margins_of(p) - torch.logit(self.cut(joint).clamp(EDGE, 1 - EDGE)))


def aware_joint(probability: Tensor, groups: Tensor, n_groups: int) -> Tensor:
    """[n, g, 2] float64 P(group, label | x) where the group is known."""
    p = probability.to(torch.float64)
    members = torch.nn.functional.one_hot(groups, n_groups).to(torch.float64)
    return members[:, :, None] * torch.stack((1 - p, p), -1)[:, None, :]


def linear_optimum(
    joint: Tensor, gap: str, limit: float, t: float = 0.5, offset: Tensor | None = None
) -> tuple[Tensor, LinearRule]:
    """The best classifier of some rows under a limit, by linear programming.

    Parameters
    ----------
    joint : [n, g, 2] float64
        P(group, label | x) of the rows; what it says is taken for the truth.
    gap : str
        A metric of counts whose rates are mean predictions: ``dp@1``, ``eopp@1``, ``eodds@1``, ``fair_res@1``, …
    limit : float
    t : float
        Selecting a row gains ``P(Y = 1 | x) - t``.
    offset : [R, g] float64, optional
        What is added to the groups' rates before they are compared: by how much ``joint`` is known to be wrong.

    Returns
    -------
    h : [n] float64 in [0, 1]
        The optimum; all but a few rows (no more than there are constraints) are 0 or 1.
    rule : LinearRule
        Its deterministic form: the same for all rows that are not on the cut.

    Raises
    ------
    ValueError
        If the gap is no linear one; an :class:`InfeasibleError` if no classifier keeps it.
    """
    weights = _rate_weights(joint, gap)  # [R, g, n]
    gain = joint[..., 1].sum(-1).numpy() - t
    added = np.zeros(weights.shape[:2]) if offset is None else offset.numpy()
    selected, duals = _solve(gain, weights, added, COUNTS[gap], limit)
    return torch.from_numpy(selected), LinearRule(_multipliers(joint, gap, duals), t)


def _rate_weights(joint: Tensor, gap: str) -> Floats:
    """[R, g, n] weights of the rows in the groups' rates; each [n] sums to 1."""
    statistic = COUNTS[gap].statistic if gap in COUNTS else None
    if not isinstance(statistic, Gap) or not all(rate.is_linear for rate in statistic.rates):
        raise ValueError(f"{gap} has no linear program: it is no gap of mean predictions over groups and labels")
    found = [_mass(joint, rate) for rate in statistic.rates]
    return torch.stack([mass / mass.sum(-1, keepdim=True) for mass in found]).numpy()


def _mass(joint: Tensor, rate: Rate) -> Tensor:
    """[g, n] probability that a row is one of those that a group's rate speaks of."""
    return joint[..., list(rate.labels)].sum(-1).T.to(torch.float64)


def program_rates(joint: Tensor, gap: str, selected: Tensor) -> Tensor:
    """[R, g] float64 the rates of a selection [n] as the linear program counts them, without an offset."""
    return torch.from_numpy(_rate_weights(joint, gap)) @ selected.to(torch.float64)


def _solve(gain: Floats, weights: Floats, offset: Floats, metric: CountMetric, limit: float) -> tuple[Floats, Floats]:
    """[n] the optimal selection and [R, g] what a unit of each group's rate costs, in gain."""
    optimize: Any = importlib.import_module("scipy.optimize")  # slow to import, and not annotated

    rates, groups, n = weights.shape
    upper, lower = _bands(weights, rates, groups, n)
    limits = _limit_rows(metric, rates, n)
    matrix = np.concatenate((upper, lower, limits))
    right = np.concatenate((-offset.ravel(), offset.ravel(), np.full(len(limits), limit)))
    cost = np.concatenate((-gain, np.zeros(2 * rates)))
    bounds = np.concatenate((np.tile([0.0, 1.0], (n, 1)), np.tile([-np.inf, np.inf], (2 * rates, 1))))
    solved = optimize.linprog(cost, A_ub=matrix, b_ub=right, bounds=bounds, method="highs")
    if solved.status != 0:
        raise InfeasibleError(f"no classifier keeps {metric.id} within {limit:g}: {solved.message}")
    duals = -solved.ineqlin.marginals[: 2 * rates * groups].reshape(2, rates, groups)
    return solved.x[:n], duals[0] - duals[1]


def _bands(weights: Floats, rates: int, groups: int, n: int) -> tuple[Floats, Floats]:
    """Rows ``rate - high`` and ``low - rate``, [R g, n + 2 R] each; columns n… are highs, then lows."""
    flat = weights.reshape(rates * groups, n)
    owner = np.repeat(np.eye(rates), groups, 0)
    nothing = np.zeros_like(owner)
    return np.concatenate((flat, -owner, nothing), 1), np.concatenate((-flat, nothing, owner), 1)


def _limit_rows(metric: CountMetric, rates: int, n: int) -> Floats:
    """Rows that say ``gap <= limit``: every rate's own gap, or their mean."""
    each = np.concatenate((np.zeros((rates, n)), np.eye(rates), -np.eye(rates)), 1)
    return each.mean(0, keepdims=True) if isinstance(metric.statistic, MeanGap) else each


def _multipliers(joint: Tensor, gap: str, duals: Floats) -> Tensor:
    """[g, 2] what a membership adds to the threshold: the duals of the rates that speak of it, per unit of mass."""
    found = torch.zeros(joint.shape[1:], dtype=torch.float64)
    for rate, cost in zip(COUNTS[gap].statistic.rates, torch.from_numpy(np.ascontiguousarray(duals)), strict=True):
        found[:, list(rate.labels)] += (cost / _mass(joint, rate).sum(-1))[:, None]
    return found
