"""Decisions that do not know the group: linear programs on the model of (label, group), checked on the rows' groups."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metrics.auc import auc
from metrics.composites import utility
from metrics.counts.group_rates import GroupRates, rates_of_counts
from metrics.points import DEGENERATE_SHARE
from metrics.registry import COUNTS
from metrics.thresholds import FINE_RATES, FINE_STEPS, Thresholds, fit_thresholds, keeps
from moe.decision.chooser import expected_table
from moe.decision.linear_post import InfeasibleError, LinearRule, linear_optimum, program_rates

COMMON = 5
"""Common thresholds that are tried, between that of the best F1 (half of it) and that of accuracy (one half)."""

CORRECTIONS = 4
"""Times that a program is corrected by the rates of the rows' own groups: the model may be wrong."""


CAUTION = 0.02
"""Share of the limit by which each correction stays further below it: rates move in steps of rows."""

STEEP = 0.2
"""How much of a row's probability has to count after its likely group has had its say, at least.

Where groups are all but known, programs of several rates have optima that are indifferent within a group: they want a
share of its rows, whichever. The cut of such a rule hangs on the third digit of the model of the group, which is not
the same for new rows, or runs backwards.
"""

WITHIN = (1.0, 0.8, 0.6, 0.4)
"""Shares of the limit that thresholds of likely groups are fitted to: doubt about groups widens the gap."""


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
    """The rule of the highest utility within a limit, by the rows' own groups; None where none keeps it.

    Rules in which a higher probability hardly counts, or counts against a row, are none (:data:`STEEP`); where no other
    is left, thresholds of the likely groups are tried.
    """
    solved = [_solved(rows, gap, limit, t) for t in common_thresholds(rows.expected)]
    first = [one for one in solved if one is not None]
    tried = [*first, *(later for one in first for later in _corrected(rows, gap, limit, one))]
    able = [one for one in tried if steepness(one.rule) >= STEEP and _keeps(one, gap, limit)]
    return max(able, key=lambda one: one.worth) if able else _by_thresholds(rows, gap, limit)


def _by_thresholds(rows: BlindRows, gap: str, limit: float) -> BlindChoice | None:
    """Thresholds of the groups, each row's weighed by its likely groups: a rule where groups are all but known."""
    given = rows.probability, rows.labels, rows.groups, rows.n_groups
    limits = [share * limit for share in WITHIN]
    found = fit_thresholds(*given, limits, gap=gap, expected=rows.expected, rates=FINE_RATES, steps=FINE_STEPS)
    tried = [measured(rows, _of_thresholds(one), gap) for one in found if one is not None]
    return max((one for one in tried if _keeps(one, gap, limit)), key=lambda one: one.worth, default=None)


def _of_thresholds(found: Thresholds) -> LinearRule:
    return LinearRule(torch.sigmoid(found.cuts)[:, None].expand(-1, 2) - 0.5, 0.5)


def steepness(rule: LinearRule) -> float:
    """By how much a probability rises above its own cut when it rises by one, in the group where that is least."""
    return 1 - float((rule.multipliers[:, 1] - rule.multipliers[:, 0]).max())


def common_thresholds(expected: Tensor, count: int = COMMON) -> list[float]:
    """Thresholds between half of the best expected F1 and one half.

    Any mixture of accuracy and F1 is served best by a threshold between these (Lipton, Elkan & Naryanaswamy, 2014).
    """
    ordered = expected.sort(descending=True).values
    k = torch.arange(1, len(ordered) + 1)
    best = float((2 * ordered.cumsum(0) / (k + ordered.sum())).max())
    grid: list[float] = torch.linspace(best / 2, 0.5, count, dtype=torch.float64).tolist()
    return grid


def _corrected(rows: BlindRows, gap: str, limit: float, choice: BlindChoice) -> list[BlindChoice]:
    """Rules of programs that are told by how much the last rule's rates were missed, until the rows keep the limit."""
    found: list[BlindChoice] = []
    for step in range(1, CORRECTIONS + 1):
        if _keeps(choice, gap, limit):
            break
        again = _solved(rows, gap, limit * (1 - CAUTION * step), choice.rule.t, _missed(rows, choice.rule, gap))
        if again is None:
            break
        choice = again
        found.append(choice)
    return found


def _missed(rows: BlindRows, rule: LinearRule, gap: str) -> Tensor:
    """[R, g] rates of the rows' own groups under a rule, less those of the program; 0 for a group that has none."""
    selected = rule.apply(rows.probability, rows.joint) > 0.5
    rates = _rates(rows, selected)
    own = torch.stack([rates[rate] for rate in COUNTS[gap].statistic.rates])
    return (own - program_rates(rows.joint, gap, selected)).nan_to_num(nan=0.0)


def _rates(rows: BlindRows, selected: Tensor) -> GroupRates:
    table = expected_table(selected, rows.expected, rows.groups, rows.n_groups)
    members = torch.bincount(rows.groups * 2 + rows.labels, minlength=2 * rows.n_groups).view(-1, 2)
    return rates_of_counts(table, members.to(torch.float64))


def _solved(rows: BlindRows, gap: str, limit: float, t: float, offset: Tensor | None = None) -> BlindChoice | None:
    """The rule of a program; None where no classifier keeps the limit."""
    try:
        _, rule = linear_optimum(rows.joint, gap, min(limit, 2.0), t, offset)
    except InfeasibleError:
        return None
    return measured(rows, rule, gap)


def _keeps(choice: BlindChoice, gap: str, limit: float) -> bool:
    return bool(keeps(torch.tensor(choice.disparity, dtype=torch.float64), limit, gap))


def measured(rows: BlindRows, rule: LinearRule, gap: str) -> BlindChoice:
    """A rule with its gap (nan if it is nearly constant) and its utility, both by expected labels."""
    moved = rule.apply(rows.probability, rows.joint)
    rates = _rates(rows, moved > 0.5)
    share = float((moved > 0.5).to(torch.float64).mean())
    disparity = float(COUNTS[gap].statistic.value(rates)) if min(share, 1 - share) >= DEGENERATE_SHARE else float("nan")
    accuracy, f1 = (COUNTS[id].statistic.value(rates) for id in ("acc@1", "f1@1"))
    return BlindChoice(rule, disparity, float(utility(accuracy, f1, auc(moved[None], rows.labels)[0])))
