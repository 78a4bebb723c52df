"""Rows by group, for means over the rows of each group."""

from __future__ import annotations

import torch
from torch import Tensor


def membership(groups: Tensor, n_groups: int) -> Tensor:
    """[n, g] float64 one-hot divided by group size; the column of an empty group is nan."""
    members = torch.nn.functional.one_hot(groups, n_groups).to(torch.float64)
    return members / members.sum(0)
