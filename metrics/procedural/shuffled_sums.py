"""Sums over groups when group membership is dealt out anew."""

from __future__ import annotations

import torch
from torch import Tensor

from metrics.resample import weighted_sums


def shuffled_sums(shuffled: Tensor, n_groups: int, columns: Tensor) -> Tensor:
    """[P, g, c] float64 sums of columns [n, c] over each group's rows, for shuffled group ids [P, n].

    The last group gets what the others leave of the total.
    """
    sums = [weighted_sums(shuffled == group, columns) for group in range(n_groups - 1)]
    total = columns.sum(0, dtype=torch.float64)
    rest = total - sum(sums, torch.zeros(len(shuffled), len(total), dtype=torch.float64))
    return torch.stack((*sums, rest), 1)
