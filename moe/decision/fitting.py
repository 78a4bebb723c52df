"""Fitting a decision layer: every demand of a cell at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from foundation.seeding import numpy_generator
from metrics.registry import spec
from metrics.thresholds import Thresholds
from moe.decision.blind import BlindRows, best_blind
from moe.decision.chooser import Chooser, expected_table
from moe.decision.decision import Decision
from moe.decision.demand import Demand, ProceduralBound
from moe.decision.fair_share import Pools, fair_shares
from moe.decision.problem import DecisionProblem
from moe.decision.procedural_bound import Bounded, procedural_candidates
from moe.decision.transfer import transfer_ceiling, transfer_probability

FINALISTS = 3
"""Mixtures that keep a procedural bound and are compared by fine thresholds."""


def fit_decision(problem: DecisionProblem, demand: Demand) -> Decision | None:
    """The decision for one demand; None where nothing keeps it."""
    return fit_decisions(problem, [demand])[0]


def fit_decisions(problem: DecisionProblem, demands: Sequence[Demand]) -> list[Decision | None]:
    """Decisions for demands on the same rows, which share pools and expected labels.

    Returns
    -------
    list of Decision or None
        None where no decision keeps the limit (or the procedural bound) on the rows that choose without being nearly
        constant, or where utility or the gap are not estimable.

    Raises
    ------
    ValueError
        If a demand needs what the problem does not have: a joint model for "blind", explained rows for a bound.
    """
    chooser = Chooser(problem)
    shares = _shares(problem, demands)
    _prepare(chooser, demands, shares)
    return [_fit(chooser, demand, shares) for demand in demands]


def _shares(problem: DecisionProblem, demands: Sequence[Demand]) -> dict[tuple[str, float], Tensor]:
    """Shares of fair members by gap and limit, for the demands that may have any: the same at every margin."""
    pools: Pools = {}
    asked: dict[str, list[float]] = {}
    for demand in demands:
        if demand.mode != "blind" and demand.procedural is None:
            limits = asked.setdefault(demand.gap, [])
            limits += [demand.limit] if demand.limit not in limits else []
    return {
        (gap, limit): shares
        for gap, limits in asked.items()
        for limit, shares in zip(limits, fair_shares(problem, gap, limits, pools), strict=True)
    }


def _prepare(chooser: Chooser, demands: Sequence[Demand], shares: dict[tuple[str, float], Tensor]) -> None:
    """Find the thresholds of all limits that use the same shares at once."""
    asked: dict[tuple[tuple[float, ...], str], list[float]] = {}
    for demand in demands:
        own = shares.get((demand.gap, demand.limit))
        if own is not None and demand.mode != "blind" and demand.procedural is None:
            limits = asked.setdefault((tuple(own.tolist()), demand.gap), [])
            limits += [demand.inner(kappa) for kappa in demand.kappas]
    for (own_shares, gap), limits in asked.items():
        chooser.prepare(torch.tensor(own_shares, dtype=torch.float64), gap, limits)


def _fit(chooser: Chooser, demand: Demand, shares: dict[tuple[str, float], Tensor]) -> Decision | None:
    found = [_at(chooser, demand, shares, kappa) for kappa in demand.kappas]
    kept = [decision for decision in found if decision is not None]
    if demand.transfer is None or not kept:
        return kept[0] if kept else None
    reached = [decision for decision in kept if decision.transfer >= demand.transfer]
    best = reached[0] if reached else max(kept, key=lambda decision: decision.transfer)
    return replace(best, further={**best.further, "reached": bool(reached)})


def _at(chooser: Chooser, demand: Demand, shares: dict[tuple[str, float], Tensor], kappa: float) -> Decision | None:
    """The decision with a given margin."""
    limit = demand.inner(kappa)
    if demand.mode == "blind":
        return _blind(chooser, demand, kappa, limit)
    if demand.procedural is not None:
        bounded = _bounded(chooser, demand, demand.procedural, limit)
        if bounded is None:
            return None
        return _aware(chooser, demand, kappa, bounded.shares, bounded.thresholds, bounded.value)
    own = shares[demand.gap, demand.limit]
    found = chooser.thresholds(own, demand.gap, limit)
    return None if found is None else _aware(chooser, demand, kappa, own, found)


def _bounded(chooser: Chooser, demand: Demand, bound: ProceduralBound, limit: float) -> Bounded | None:
    """The mixture of the highest expected utility among those that keep both.

    Coarse thresholds say which mixtures keep the bound and in what order they are worth trying with fine ones.
    """
    reasons = chooser.reasons(bound.metric)
    order = []
    for place, shares in enumerate(procedural_candidates(chooser.problem)):
        found = chooser.coarse(shares, demand.gap, limit)
        if found is not None and reasons.value(shares, found, bound.metric) <= bound.limit:
            order.append((-found.worth, place, shares))
    kept: list[Bounded] = []
    for _, _, shares in sorted(order, key=lambda one: one[:2]):
        fine = chooser.thresholds(shares, demand.gap, limit)
        if fine is None:
            continue
        value = reasons.value(shares, fine, bound.metric)
        kept += [Bounded(shares, fine, value)] if value <= bound.limit else []
        if len(kept) == FINALISTS:
            break
    return max(kept, key=lambda one: one.thresholds.worth, default=None)


def _blind(chooser: Chooser, demand: Demand, kappa: float, limit: float) -> Decision | None:
    p, shares = chooser.problem, chooser.problem.corner()
    if p.joint is None:
        raise ValueError("a blind decision needs the problem's joint: out-of-fold P(group, label | x)")
    if demand.procedural is not None:
        raise ValueError("a procedural bound is known for decisions that know the group; ask for the mode 'aware'")
    if spec(demand.gap).direction == "higher":
        raise ValueError(f"a blind decision keeps gaps, and {demand.gap} is none; ask for the mode 'aware'")
    rows = BlindRows(chooser.probability(shares), p.labels, p.groups, p.n_groups, chooser.expected(shares), p.joint)
    found = best_blind(rows, demand.gap, limit)
    if found is None:
        return None
    moved = found.rule.apply(rows.probability, rows.joint)
    return _decision(
        chooser, demand, kappa, shares, moved, rule=found.rule, disparity=found.disparity, worth=found.worth
    )


def _aware(
    chooser: Chooser, demand: Demand, kappa: float, shares: Tensor, found: Thresholds, procedural: float = math.nan
) -> Decision:
    moved = found.apply(chooser.probability(shares), chooser.problem.groups)
    told = {"disparity": found.disparity, "worth": found.worth, "procedural": procedural}
    return _decision(chooser, demand, kappa, shares, moved, rule=found, **told)


def _decision(chooser: Chooser, demand: Demand, kappa: float, shares: Tensor, moved: Tensor, **found: Any) -> Decision:
    """The record of a rule that moves the rows' probabilities to ``moved``."""
    p = chooser.problem
    table = expected_table(moved > 0.5, chooser.expected(shares), p.groups, p.n_groups)
    asked = table, demand.gap, demand.limit, p.new_rows
    words = "decision", demand.gap, repr(demand.limit)
    return Decision(
        demand=demand,
        shares=shares,
        rates=table[..., 1].sum(-1) / table.sum((-2, -1)).clamp(min=1),
        kappa=kappa,
        transfer=transfer_probability(*asked, numpy_generator(p.seed, *words, "transfer")),
        ceiling=transfer_ceiling(*asked, numpy_generator(p.seed, *words, "ceiling")),
        **found,
    )
