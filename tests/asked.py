"""An expert that remembers which rows it was asked to explain, and rows in an order that is no sample of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from tasks.task import TaskView
from tests.views import view_of


def sorted_by_class(n: int) -> TaskView:
    """A view whose parts list class 0 before class 1, with groups of 80 % and 20 %."""
    g = torch.Generator().manual_seed(0)
    features = torch.randn(n, 3, generator=g)
    labels = torch.cat([(torch.arange(size) >= 0.7 * size).long() for size in (n // 2, n // 4, n - n // 2 - n // 4)])
    groups = (torch.rand(n, generator=g) < 0.2).long()
    return view_of(features, labels, groups)


def shares(view: TaskView, rows: Tensor) -> list[float]:
    """Share of each cell of label × group."""
    cell = 2 * view.labels[rows] + view.groups[rows]
    found: list[float] = (torch.bincount(cell, minlength=4) / len(rows)).tolist()
    return found


@dataclass
class Asked:
    """Margins are the first feature; the rows of every question are kept."""

    role: str = "utility"
    family: str = "linear"
    explainer: str = "linear"
    asked: list[Tensor] = field(default_factory=list)

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] first feature, 0 where it is not kept."""
        return task.features[rows, 0] * (1.0 if keep is None else keep[:, 0].float())

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] features."""
        self.asked.append(rows)
        return task.features[rows]

    def save(self, folder: Path) -> None:
        """Nothing to write."""
