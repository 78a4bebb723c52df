"""The value of a rule of choosing on rows that did not choose: cross-fitted decisions of every row."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.choice.asked import Asked
from benchmarks.choice.cross_fit.rows import Rows
from benchmarks.choice.cross_fit.ways import Fit, Way
from metrics.counts.group_rates import rates_of_counts
from metrics.counts.tables import count_table
from metrics.points import DEGENERATE_SHARE, rarer_share
from metrics.registry import COUNTS


@dataclass(frozen=True, eq=False)
class Held:
    """What a way is worth at one margin.

    Attributes
    ----------
    kappa : float
        Share of the limit that the rows that choose had to keep.
    fit : Fit or None
        Chosen on all rows: what is delivered. None: nothing keeps the limit there.
    seen : float
        The metric on the rows that chose ``fit``, by their labels; nan without one. It flatters.
    probability : [n] float64
        Of every row by what the other folds chose; nan in a fold for which nothing was found.
    missing : int
        Folds for which nothing was found.
    table : [g, 2, 2] float64
        Rows per (group, label, decision), of the cross-fitted decisions; of the rows that have one.
    gap : float
        The metric on cross-fitted decisions; nan where a fold is missing or it is not estimable.
    constant : bool
        Whether cross-fitted decisions are nearly the same for all rows.
    agreement : float
        Share of the rows that ``fit`` decides as the other folds' choice does: how far the numbers of the rule are
        those of the model that is delivered. nan without ``fit`` or decisions.
    estimable : tuple of bool
        Whether the rows are enough for the metric, whatever is decided: all of them, then those without each fold;
        empty where every choice keeps the limit.
    """

    kappa: float
    fit: Fit | None
    seen: float
    probability: Tensor
    missing: int
    table: Tensor
    gap: float
    constant: bool
    agreement: float = 1.0
    estimable: tuple[bool, ...] = ()


def held_out(way: Way, asked: Asked) -> list[Held]:
    """Cross-fit a way: one value per margin of ``asked.kappas``.

    For each fold the way chooses on all other folds, trial and thresholds included, and decides the rows of the fold.
    """
    rows = way.rows
    final = way.fit(rows.all, asked)
    said = torch.full((len(asked.kappas), len(rows.labels)), torch.nan, dtype=torch.float64)
    missing = [0] * len(asked.kappas)
    for fold in torch.unique(rows.fold).tolist():
        mine, others = (torch.nonzero(part).flatten() for part in (rows.fold == fold, rows.fold != fold))
        for at, fit in enumerate(way.fit(others, asked)):
            if fit is None:
                missing[at] += 1
            else:
                said[at, mine] = way.decide(fit, mine)
    enough = _enough(rows, asked.metric) if any(missing) or None in final else ()  # it words a refusal, no more
    return [_held(way, asked, kappa, final[at], said[at], missing[at], enough) for at, kappa in enumerate(asked.kappas)]


def _enough(rows: Rows, metric: str) -> tuple[bool, ...]:
    """Whether all rows, then those without each fold, are enough for the metric."""
    without = (torch.nonzero(rows.fold != fold).flatten() for fold in torch.unique(rows.fold).tolist())
    return tuple(_estimable(rows, places, metric) for places in (rows.all, *without))


def _estimable(rows: Rows, places: Tensor, metric: str) -> bool:
    """Whether the metric has a value for decisions that are all right."""
    return not math.isnan(value_of(table_of(rows, rows.labels.to(torch.float64), places), metric))


def _held(
    way: Way, asked: Asked, kappa: float, fit: Fit | None, said: Tensor, missing: int, enough: tuple[bool, ...]
) -> Held:
    own = None if fit is None else way.decide(fit, way.rows.all)
    seen = torch.nan if own is None else _value(way.rows, own, asked.metric)
    there = torch.nonzero(~torch.isnan(said)).flatten()
    agreement = torch.nan if own is None else float(((own > 0.5) == (said > 0.5))[there].to(torch.float64).mean())
    table = table_of(way.rows, said, there)
    gap = torch.nan if missing else value_of(table, asked.metric)
    constant = len(there) > 0 and bool(rarer_share(said[there]) < DEGENERATE_SHARE)
    return Held(kappa, fit, seen, said, missing, table, gap, constant, agreement, enough)


def as_it_is(rows: Rows, probability: Tensor, metric: str) -> Held:
    """A model that nobody chooses anything for: its own decisions."""
    probability = probability.to(torch.float64)
    table = table_of(rows, probability, rows.all)
    gap = value_of(table, metric)
    constant = bool(rarer_share(probability) < DEGENERATE_SHARE)
    return Held(1.0, Fit(), gap, probability, 0, table, gap, constant)


def _value(rows: Rows, probability: Tensor, metric: str) -> float:
    return value_of(table_of(rows, probability, rows.all), metric)


def value_of(table: Tensor, metric: str) -> float:
    """A metric of counts of a table [g, 2, 2]; nan where it is not estimable."""
    return float(COUNTS[metric].statistic.value(rates_of_counts(table)))


def table_of(rows: Rows, probability: Tensor, places: Tensor) -> Tensor:
    """[g, 2, 2] float64 rows per (group, label, decision) of the rows at some places."""
    if not len(places):
        return torch.zeros(rows.n_groups, 2, 2, dtype=torch.float64)
    return count_table(probability[None, places], *rows.known(places))[0]
