"""Row weights that make group and label independent."""

from __future__ import annotations

import torch
from torch import Tensor


def reweighing_weights(labels: Tensor, groups: Tensor) -> Tensor:
    """[r] float64 weights P(s) P(y) / P(s, y) of rows with labels y [r] and groups s [r].

    Their mean is 1, and group and label are independent under them if every group has rows of both classes
    (Kamiran and Calders, 2012, section 4.3.1).
    """
    counts = torch.zeros(int(groups.max()) + 1, 2, dtype=torch.float64)
    counts.index_put_((groups, labels), torch.ones(len(labels), dtype=torch.float64), accumulate=True)
    expected = counts.sum(1, keepdim=True) * counts.sum(0, keepdim=True) / counts.sum()
    return expected[groups, labels] / counts[groups, labels]
