"""With what probability new rows keep a limit, and with what probability they could at best.

A rule that is exactly fair in the population is not on a sample: of 1,500 rows, groups differ by chance. So a rate of
kept limits says something only beside its ceiling.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metrics.counts.group_rates import rates_of_counts
from metrics.registry import COUNTS
from metrics.thresholds import keeps

DRAWS = 2000


def transfer_probability(table: Tensor, gap: str, limit: float, new_rows: int, generator: np.random.Generator) -> float:
    """Probability that a fresh sample keeps a limit, in [0, 1].

    Parameters
    ----------
    table : [g, 2, 2] float64
        Count table of the decision on the rows that it was chosen on.
    gap : str
    limit : float
        The limit that new rows have to keep, without margin.
    new_rows : int
        Size of the fresh sample.

    Notes
    -----
    Two draws: the population is a resample of the rows at hand, as these are a sample themselves, and the fresh sample
    is drawn from it. What choosing among thresholds adds (the rows that chose flatter the choice) is not in it: with a
    few thousand rows and a handful of thresholds it is small.
    """
    population = _drawn(_shares(table), round(float(table.sum())), generator, DRAWS)
    return _share_kept(_drawn(_shares(population), new_rows, generator), table, gap, limit)


def transfer_ceiling(table: Tensor, gap: str, limit: float, new_rows: int, generator: np.random.Generator) -> float:
    """The same probability for a rule whose gap is exactly 0: groups of these sizes, all with the rates of all rows."""
    sizes = table.sum((-2, -1))
    fair = sizes[:, None, None] / sizes.sum() * table.sum(0)
    return _share_kept(_drawn(_shares(fair), new_rows, generator, DRAWS), table, gap, limit)


def _shares(table: Tensor) -> Tensor:
    """[..., g, 2, 2] shares of the cells."""
    cells = table.clamp(min=0)
    return cells / cells.sum((-3, -2, -1), keepdim=True)


def _drawn(shares: Tensor, rows: int, generator: np.random.Generator, draws: int | None = None) -> Tensor:
    """[draws, g, 2, 2] tables of that many rows; without ``draws`` one of each of shares [draws, g, 2, 2]."""
    cells = shares.flatten(-3).numpy()
    drawn = generator.multinomial(rows, cells, size=draws)
    return torch.from_numpy(drawn).to(torch.float64).reshape(*drawn.shape[:-1], *shares.shape[-3:])


def _share_kept(drawn: Tensor, table: Tensor, gap: str, limit: float) -> float:
    """Share of drawn tables that keep the limit, among the groups that count in the table at hand."""
    rates = rates_of_counts(drawn, table.sum(-1).expand(*drawn.shape[:-1]))
    return float(keeps(COUNTS[gap].statistic.value(rates), limit, gap).to(torch.float64).mean())
