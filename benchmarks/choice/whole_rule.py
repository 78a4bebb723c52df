"""The rule as a whole, cross-fitted: what choosing among all candidates is worth, not only what the chosen one seems.

Of many candidates that are about as good, the one that looks best has been lucky, too. So the choice itself is tried
across folds: on all folds but one the rule picks a candidate, whose decisions of the remaining fold count. What is told
of all folds together is the rule's own: it knows how much luck there is in being the best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.choice.asked import Asked
from benchmarks.choice.candidate import Candidate, beyond, why_beside, why_unusable
from benchmarks.choice.cross_fit.held import Held, table_of, value_of
from benchmarks.choice.cross_fit.new_rows import Kept, foreseen
from benchmarks.choice.cross_fit.rows import Rows
from benchmarks.choice.cross_fit.worth import Estimate, mean_worth, worth_of
from benchmarks.choice.material import Ground
from foundation.seeding import numpy_generator


@dataclass(frozen=True)
class WholeRule:
    """What the rule is worth on rows that chose nothing.

    Attributes
    ----------
    utility : Estimate
        nan where for some fold nothing keeps the limit.
    gap : float
    probability : float
        That new rows keep the limit.
    picks : tuple of str
        What was picked for each fold.
    """

    utility: Estimate
    gap: float
    probability: float
    picks: tuple[str, ...]


def whole_rule(every: Sequence[Candidate], grounds: Sequence[Ground], asked: Asked) -> WholeRule:
    """Cross-fit the choice among candidates.

    Parameters
    ----------
    every : sequence of Candidate
        All methods × ways, at every margin.
    grounds : sequence of Ground
        One per split.
    asked : Asked
    """
    able = [one for one in every if not why_unusable(one, asked) and not why_beside(one, asked)]
    said = [torch.full((len(g.ids),), torch.nan, dtype=torch.float64) for g in grounds]
    picks: list[str] = []
    for fold in torch.unique(grounds[0].validation.fold).tolist():
        best = _best_without(fold, able, grounds, asked)
        picks.append("" if best is None else best.name)
        for own, ground, place in zip(said, grounds, range(len(grounds)), strict=True):
            mine = ground.validation.fold == fold
            if best is not None:
                own[mine] = _last(best.tried[place].held, ground)[mine]
    if not all(picks):
        return WholeRule(Estimate(math.nan, math.nan, math.nan), math.nan, math.nan, tuple(picks))
    tables = [
        table_of(ground.validation, own, ground.validation.all) for own, ground in zip(said, grounds, strict=True)
    ]
    kept = [_foreseen(table, ground, asked) for table, ground in zip(tables, grounds, strict=True)]
    return WholeRule(
        mean_worth([worth_of(g.validation, own, g.ids) for own, g in zip(said, grounds, strict=True)]),
        _mean([value_of(table, asked.metric) for table in tables]),
        _mean([one.probability for one in kept]),
        tuple(picks),
    )


def _best_without(fold: int, able: Sequence[Candidate], grounds: Sequence[Ground], asked: Asked) -> Candidate | None:
    """The rule on all folds but one: of every way the widest margin that keeps the limit, of these the most useful.

    None where nothing keeps it. ``able`` has the margins of a way one after the other, the widest first.
    """
    best, worth = None, -math.inf
    settled: set[str] = set()
    for one in able:
        if one.name in settled:
            continue
        if not asked.unlimited:
            gap = _mean([_gap(tried.held, g, fold, asked) for tried, g in zip(one.tried, grounds, strict=True)])
            if beyond(gap, asked) > 0:
                continue
        settled.add(one.name)
        own = _mean([_worth(tried.held, g, fold) for tried, g in zip(one.tried, grounds, strict=True)])
        if own > worth:
            best, worth = one, own
    return best


def _gap(held: Held, ground: Ground, fold: int, asked: Asked) -> float:
    rows = ground.rows.last(len(held.probability))
    table = table_of(rows, held.probability, torch.nonzero(rows.fold != fold).flatten())
    return value_of(table, asked.metric)


def _worth(held: Held, ground: Ground, fold: int) -> float:
    rows = ground.validation
    places = torch.nonzero(rows.fold != fold).flatten()
    part = Rows(rows.labels[places], rows.groups[places], rows.n_groups, rows.fold[places])
    return worth_of(part, _last(held, ground)[places], places).estimate


def _last(held: Held, ground: Ground) -> Tensor:
    """[v] decisions of validation rows."""
    return held.probability[-len(ground.ids) :]


def _foreseen(table: Tensor, ground: Ground, asked: Asked) -> Kept:
    words = "choose", asked.metric, repr(asked.limit), "whole rule"
    return foreseen(
        table, asked.metric, asked.limit, asked.new_rows or ground.new_rows, numpy_generator(asked.seed, *words)
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
