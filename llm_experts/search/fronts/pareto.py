"""Constrained Pareto dominance of vectors, in tensors (Deb et al., IEEE TEC 2002: NSGA-II)."""

from __future__ import annotations

import torch
from torch import Tensor


def dominates(losses: Tensor, violation: Tensor) -> Tensor:
    """[P, P] bool, whether row i dominates row j: feasible beats infeasible, less violation beats more, then Pareto.

    Parameters
    ----------
    losses : [P, m] float64
        Smaller is better.
    violation : [P] float64
        0: feasible.
    """
    no_worse = (losses[:, None] <= losses[None]).all(-1)
    better = (losses[:, None] < losses[None]).any(-1)
    less = violation[:, None] < violation[None]
    return less | ((violation[:, None] == violation[None]) & no_worse & better)


def front(losses: Tensor, violation: Tensor) -> Tensor:
    """[P] bool, rows that no other row dominates; of equal rows all."""
    return ~dominates(losses, violation).any(0)


def crowding(losses: Tensor) -> Tensor:
    """[P] crowding distance: how far a row's neighbours are from each other, summed over objectives; ends have inf."""
    total = torch.zeros(len(losses), dtype=torch.float64)
    for column in losses.T:
        order = torch.argsort(column, stable=True)
        ranked = column[order]
        extent = float(ranked[-1] - ranked[0])
        if extent == 0:
            continue
        total[order[0]] = total[order[-1]] = torch.inf
        total[order[1:-1]] += (ranked[2:] - ranked[:-2]) / extent
    return total


def select(losses: Tensor, violation: Tensor, count: int) -> Tensor:
    """Indices of the ``count`` best rows: front by front, within the last one the least crowded."""
    left = torch.arange(len(losses))
    chosen: list[Tensor] = []
    while len(left) and count > 0:
        first = front(losses[left], violation[left])
        members = left[first]
        if len(members) > count:
            members = members[torch.argsort(crowding(losses[members]), descending=True, stable=True)[:count]]
        chosen.append(members)
        count -= len(members)
        left = left[~first]
    return torch.cat(chosen) if chosen else left
