"""The one way to thin rows: at random from a seed, with every cell of label × group in proportion.

The first rows of a part are no sample of it: the published splits list one class before the other, and row ids follow
how the data were collected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from foundation.seeding import torch_generator

if TYPE_CHECKING:
    from tasks.task import TaskView


def thinned(labels: Tensor, groups: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Positions of at most ``size`` rows, drawn without replacement from every cell of label × group.

    Parameters
    ----------
    labels, groups : [n] int64
    size : int
        Rows to keep; all rows are kept when there are no more.
    generator : torch.Generator

    Returns
    -------
    [min(n, size)] int64, ascending. Cells have seats in proportion to their rows (Sainte-Laguë), and one at least
    where ``size`` allows it; if there are more cells than seats, the largest cells have one each.
    """
    n = len(labels)
    if n <= size:
        return torch.arange(n)
    keys = (
        labels * (groups.max() + 1) + groups
    )  # in the order of (label, group); pairs would be sorted many times slower
    _, cells, counts = torch.unique(keys, return_inverse=True, return_counts=True)
    shuffled = torch.randperm(n, generator=generator)
    by_cell = shuffled[torch.argsort(cells[shuffled], stable=True)]
    starts = torch.cumsum(counts, 0) - counts
    owner = cells[by_cell]
    place = torch.arange(n) - starts[owner]
    turn = torch.where(place == 0, -1.0, (2 * place + 1).double() / counts[owner])
    large_first = torch.argsort(counts[owner], descending=True, stable=True)
    order = large_first[torch.argsort(turn[large_first], stable=True)]
    return by_cell[order[:size]].sort().values


def thinned_rows(view: TaskView, rows: Tensor, size: int, seed: int, *words: str) -> Tensor:
    """At most ``size`` of the labelled ``rows`` of a view, in their order; see :func:`thinned`.

    Parameters
    ----------
    view : TaskView
    rows : [n] int64
    size : int
    seed : int
    words : str
        What the rows are for: another purpose draws other rows.
    """
    return rows[thinned(view.labels[rows], view.groups[rows], size, torch_generator(seed, "thinned rows", *words))]
