"""Rows that values are told for: those of a part of a task, with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metrics.points import point_values
from tasks.task import Task

UTILITY, GAP = "utility@1", "fair_res@1"
REPORTED = (UTILITY, "acc@1", "f1@1", "auc@1", "dp@1", "eopp@1", GAP, "worst_acc@1")


@dataclass(frozen=True)
class Part:
    """Rows of a task, with their labels.

    Attributes
    ----------
    labels, groups : [n] int64
    n_groups : int
    """

    labels: Tensor
    groups: Tensor
    n_groups: int

    @classmethod
    def of(cls, task: Task, rows: Tensor) -> Part:
        """The part of these rows."""
        return cls(task.labels[rows], task.groups[rows], len(task.group_names))

    def values(self, probability: Tensor, metrics: Sequence[str] = REPORTED) -> dict[str, Tensor]:
        """[K] values of [K, n] predictions, by the rules of final scores."""
        known = (self.labels, self.groups, self.n_groups)
        return point_values(probability, *known, metrics=metrics)

    def same(self, value: float) -> Tensor:
        """[n] the same answer for everyone."""
        return torch.full((self.labels.numel(),), value, dtype=torch.float64)
