"""How much source columns tell of the group: what a procedural expert may be kept from."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.columns import Column
from tasks.task import TaskView

BINS = 10
"""Quantile classes of a number."""


def group_association(view: TaskView) -> Tensor:
    """[columns] float64 in [0, 1]: Cramér's V of each source column and the group, on training rows.

    Numbers are cut at their deciles; a category is a class, and so is an unknown value. The bias of small samples is
    taken off (Bergsma, Journal of the Korean Statistical Society 2013), so that a column of many classes that tells
    nothing has about 0. Sensitive columns are 1, whatever their values.
    """
    rows = view.split.train
    groups = view.groups[rows]
    found = [
        torch.tensor(1.0, dtype=torch.float64)
        if column.sensitive
        else cramers_v(_classes(view.features[rows], column), groups)
        for column in view.columns
    ]
    return torch.stack(found)


def proxy_gains(view: TaskView, limit: float, strength: float) -> Tensor:
    """[columns] float64 in [0, 1]: how far a procedural expert may use each column.

    0 for sensitive columns and for those whose :func:`group_association` V exceeds ``limit``; exp(−strength · V)
    for the others.
    """
    association = group_association(view)
    gains = torch.exp(-strength * association)
    gains[association > limit] = 0.0
    gains[list(view.sensitive_columns)] = 0.0
    return gains


def cramers_v(first: Tensor, second: Tensor) -> Tensor:
    """[] float64 bias-corrected Cramér's V of two classifications [n] int64; 0 where one has a single class."""
    table = torch.zeros(int(first.max()) + 1, int(second.max()) + 1, dtype=torch.float64)
    table.index_put_((first, second), torch.ones(len(first), dtype=torch.float64), accumulate=True)
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    n, (r, c) = table.sum(), table.shape
    if min(r, c) < 2:
        return table.new_zeros(())
    expected = table.sum(1, keepdim=True) * table.sum(0, keepdim=True) / n
    squared = ((table - expected).square() / expected).sum() / n
    corrected = (squared - (r - 1) * (c - 1) / (n - 1)).clamp_min(0.0)
    sides = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    return (corrected / sides).sqrt().clamp_max(1.0)


def _classes(features: Tensor, column: Column) -> Tensor:
    """[n] int64 class of each row in a column."""
    values = features[:, list(column.features)]
    if column.kind == "categorical":
        return torch.where(values.amax(1) > 0, values.argmax(1) + 1, 0)
    cuts = torch.quantile(values[:, 0], torch.linspace(0, 1, BINS + 1)[1:-1])
    return torch.bucketize(values[:, 0].contiguous(), cuts)  # equal cuts leave classes empty, which count for nothing
