"""Points of the simplex, searched exhaustively: the best weights that ignore the row."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

MAX_POINTS = 20_000


def simplex_grid(experts: int, parts: int = 20) -> Tensor:
    """[c, m] all points of the simplex whose coordinates are multiples of 1/parts, c = C(parts+m-1, m-1).

    Raises
    ------
    ValueError
        If there are more than ``MAX_POINTS`` of them.
    """
    count = math.comb(parts + experts - 1, experts - 1)
    if count > MAX_POINTS:
        raise ValueError(
            f"a grid of step 1/{parts} over {experts} experts has {count} points, more than {MAX_POINTS}; "
            "take fewer parts"
        )
    grid = np.zeros((1, 0), dtype=np.int64)
    for _ in range(experts - 1):
        left = parts - grid.sum(1)
        rows = np.repeat(grid, left + 1, axis=0)
        digits = np.concatenate([np.arange(n + 1) for n in left])
        grid = np.column_stack((rows, digits))
    full = np.column_stack((grid, parts - grid.sum(1)))
    return torch.from_numpy(full).to(torch.float32) / parts


def default_parts(experts: int) -> int:
    """The finest of 1/20, 1/10, 1/5, 1/4, 1/3, 1/2 that gives at most 2,000 points (1/20 up to four experts)."""
    fine = (p for p in (20, 10, 5, 4, 3, 2) if math.comb(p + experts - 1, experts - 1) <= 2_000)
    return next(fine, 1)


def best_point(experts: int, score: Callable[[Tensor], Tensor], parts: int | None = None, chunk: int = 64) -> Tensor:
    """[m] grid point with the largest validation score; in a tie the one nearest to the uniform mixture.

    Parameters
    ----------
    experts : int
    score : callable
        [c, m] candidate weights -> [c] scores on validation rows, larger is better.
    parts : int, optional
        The grid has step 1/parts; default :func:`default_parts`.
    chunk : int
        Candidates scored at once (memory is chunk × rows).
    """
    grid = simplex_grid(experts, parts or default_parts(experts))
    order = grid.square().sum(1).argsort(stable=True)
    grid = grid[order]
    scores = torch.cat([score(part) for part in torch.split(grid, chunk)])
    return grid[int(scores.argmax())].clone()
