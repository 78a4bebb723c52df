"""Made rows and methods whose right choice is known."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.choice.candidate import UNKNOWN, Cost
from benchmarks.choice.cross_fit.rows import FOLDS, Rows
from benchmarks.choice.material import Ground, Material
from benchmarks.choice.reasons import Told


def rows_of(n: int = 2000) -> Rows:
    """Rows in which fold, group and label are independent: every combination equally often."""
    place = torch.arange(n)
    return Rows((place // (2 * FOLDS)) % 2, (place // FOLDS) % 2, 2, place % FOLDS)


def ground_of(rows: Rows) -> Ground:
    """Validation rows alone: no training rows."""
    ids = torch.arange(len(rows.labels))
    return Ground(rows, rows, torch.zeros(len(ids), 1), ids, 1000)


def material(
    rows: Rows, method: str, chosen: Tensor, *, cost: Cost = UNKNOWN, trained: Tensor | None = None
) -> Material:
    """A method without reasons and bags."""
    told = Told(None, rows.groups, rows.n_groups, own_bag=False)
    trials = () if trained is None else tuple(range(len(trained)))
    return Material(method, chosen, told, trained, trials, cost=cost)


def model(rows: Rows, right: float, unfair: float, seed: int = 0) -> Tensor:
    """[n] probabilities: a share of answers is right, and rows of group 1 get more 1s, by a share of them."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(len(rows.labels), generator=generator, dtype=torch.float64)
    strength = torch.rand(len(rows.labels), generator=generator, dtype=torch.float64)
    answer = torch.where(noise < right, rows.labels, 1 - rows.labels)
    pushed = (rows.groups == 1) & (torch.rand(len(answer), generator=generator) < unfair)
    return 0.5 + (torch.where(pushed, 1, answer) - 0.5) * (0.02 + 0.9 * strength)
