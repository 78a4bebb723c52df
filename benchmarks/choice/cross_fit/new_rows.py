"""With what probability a limit holds on rows that nobody has seen, from cross-fitted decisions.

Two sources of chance: which population the rows come from (they are a sample themselves), and which new rows it gives.
The population's shares of (group, label, decision) have the posterior of Jeffreys' prior, Dirichlet(1/2, …); new rows
are a multinomial sample of each. The decisions did not choose themselves, so that nothing flatters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metrics.counts.group_rates import rates_of_counts
from metrics.registry import COUNTS
from metrics.thresholds import keeps
from moe.decision.transfer import transfer_ceiling

DRAWS = 4000
PRIOR = 0.5


@dataclass(frozen=True)
class Kept:
    """What is foreseen of new rows.

    Attributes
    ----------
    probability : float
        That they keep the limit.
    low, high : float
        Between which the metric lies on them with 95 % probability; nan where it is not estimable.
    """

    probability: float
    low: float
    high: float


def foreseen(table: Tensor, metric: str, limit: float, new_rows: int, generator: np.random.Generator) -> Kept:
    """What is foreseen of a metric on new rows.

    Parameters
    ----------
    table : [g, 2, 2] float64
        Rows per (group, label, decision), of decisions that did not choose themselves.
    metric : str
        A metric of counts.
    limit : float
    new_rows : int
    generator : numpy Generator

    Notes
    -----
    Groups count that are expected to have rows enough among the new ones: the same in all draws.
    """
    cells = table.flatten().numpy()
    drawn = generator.standard_gamma(cells + PRIOR, size=(DRAWS, len(cells)))
    population = drawn / drawn.sum(-1, keepdims=True)
    new = torch.from_numpy(generator.multinomial(new_rows, population)).to(torch.float64).view(DRAWS, *table.shape)
    values = _values(new, scaled(table, new_rows), metric)
    return Kept(float(keeps(values, limit, metric).to(torch.float64).mean()), *_range(values))


def _range(values: Tensor) -> tuple[float, float]:
    known = values[~torch.isnan(values)]
    if not len(known):
        return math.nan, math.nan
    low, high = known.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high


def ceiling(table: Tensor, metric: str, limit: float, new_rows: int, generator: np.random.Generator) -> float:
    """The same probability for a rule whose groups have exactly equal rates: what no choice can surely exceed."""
    return transfer_ceiling(scaled(table, new_rows), metric, limit, new_rows, generator)


def scaled(table: Tensor, new_rows: int) -> Tensor:
    """The table that as many rows are expected to have."""
    return table * (new_rows / table.sum().clamp(min=1))


def _values(tables: Tensor, expected: Tensor, metric: str) -> Tensor:
    sizes = expected.sum(-1).expand(*tables.shape[:-1])
    return COUNTS[metric].statistic.value(rates_of_counts(tables, sizes))
