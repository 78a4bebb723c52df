"""Decisions that do not know the group: linear programs on the model of (label, group), checked on the rows' groups."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metrics.auc import auc
from metrics.composites import utility
from metrics.counts.group_rates import rates_of_counts
from metrics.points import DEGENERATE_SHARE
from metrics.registry import COUNTS
from metrics.thresholds import keeps
from moe.decision.chooser import expected_table
from moe.decision.linear_post import LinearRule, linear_optimum

COMMON = 5
"""Common thresholds that are tried, between that of the best F1 (half of it) and that of accuracy (one half)."""

SHRUNK = (1.0, 0.8, 0.6, 0.4, 0.2, 0.05)
"""Limits of the linear program as shares of the demanded one: the model of the group may be wrong."""


@dataclass(frozen=True)
class BlindRows:
    """Rows that choose: [n] probability, labels, groups, expected labels, and P(group, label | x) [n, g, 2]."""

    probability: Tensor
    labels: Tensor
    groups: Tensor
    n_groups: int
    expected: Tensor
    joint: Tensor


@dataclass(frozen=True)
class BlindChoice:
    """A rule with its gap and utility on the rows that chose it."""

    rule: LinearRule
    disparity: float
    worth: float


def best_blind(rows: BlindRows, gap: str, limit: float) -> BlindChoice | None:
    """The rule of the highest utility within a limit; None where none keeps it."""
    found = [_at(rows, gap, limit, t) for t in common_thresholds(rows.expected)]
    kept = [one for one in found if one is not None]
    return max(kept, key=lambda one: one.worth, default=None)


def common_thresholds(expected: Tensor) -> list[float]:
    """Thresholds between half of the best expected F1 and one half.

    Any mixture of accuracy and F1 is served best by a threshold between these (Lipton, Elkan & Naryanaswamy, 2014).
    """
    ordered = expected.sort(descending=True).values
    k = torch.arange(1, len(ordered) + 1)
    best = float((2 * ordered.cumsum(0) / (k + ordered.sum())).max())
    grid: list[float] = torch.linspace(best / 2, 0.5, COMMON, dtype=torch.float64).tolist()
    return grid


def _at(rows: BlindRows, gap: str, limit: float, t: float) -> BlindChoice | None:
    """The widest linear program whose rule keeps the limit on the rows' own groups."""
    for share in SHRUNK:
        _, rule = linear_optimum(rows.joint, gap, min(share * limit, 1.0), t)
        choice = measured(rows, rule, gap)
        if bool(keeps(torch.tensor(choice.disparity), limit, gap)):
            return choice
    return None


def measured(rows: BlindRows, rule: LinearRule, gap: str) -> BlindChoice:
    """A rule with its gap (nan if it is nearly constant) and its utility, both by expected labels."""
    moved = rule.apply(rows.probability, rows.joint)
    table = expected_table(moved > 0.5, rows.expected, rows.groups, rows.n_groups)
    members = torch.bincount(rows.groups * 2 + rows.labels, minlength=2 * rows.n_groups).view(-1, 2)
    rates = rates_of_counts(table, members.to(torch.float64))
    share = float((moved > 0.5).to(torch.float64).mean())
    disparity = float(COUNTS[gap].statistic.value(rates)) if min(share, 1 - share) >= DEGENERATE_SHARE else float("nan")
    accuracy, f1 = (COUNTS[id].statistic.value(rates) for id in ("acc@1", "f1@1"))
    return BlindChoice(rule, disparity, float(utility(accuracy, f1, auc(moved[None], rows.labels)[0])))
