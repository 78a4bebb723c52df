"""Group rates: one definition gives the metric, the differentiable loss and the interval.

A rate is the mean prediction over the rows of a group that satisfy a condition on the label, a ratio of two
sums over rows. With hard predictions the sums are counts (the metric), with probabilities they are soft
counts (the loss), and resampled counts give the interval (the idea of a linear-fractional statistic:
Buyl, Defrance, De Bie, "fairret", ICLR 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rate:
    """P(prediction = 1 | group, label in ``labels``)."""

    name: str
    labels: tuple[int, ...]

    def weights(self, labels: Tensor, groups: Tensor, n_groups: int) -> Tensor:
        """[n, g] float32 with ``probability @ weights`` = the groups' soft rates; an empty group's column is 0."""
        among = torch.isin(labels, torch.tensor(self.labels))
        members = torch.nn.functional.one_hot(groups, n_groups).to(torch.float32) * among[:, None]
        return members / members.sum(0).clamp(min=1.0)

    def of_counts(self, counts: Tensor) -> Tensor:
        """[..., g] rates of count tables [..., g, label, prediction]; nan where a group has no such row."""
        among = counts[..., list(self.labels), :].sum(-2)
        return among[..., 1] / among.sum(-1)


SELECTION_RATE = Rate("selection_rate", (0, 1))
TRUE_POSITIVE_RATE = Rate("tpr", (1,))
FALSE_POSITIVE_RATE = Rate("fpr", (0,))


def gap(rates: Tensor) -> Tensor:
    """Largest minus smallest rate over the last dimension; empty groups (nan) are left out, nan if fewer than two."""
    known = ~torch.isnan(rates)
    high = rates.nan_to_num(nan=-torch.inf).amax(-1)
    low = rates.nan_to_num(nan=torch.inf).amin(-1)
    return torch.where(known.sum(-1) >= 2, high - low, torch.nan)


def ratio(rates: Tensor) -> Tensor:
    """Smallest over largest rate (1 when all are 0); nan if fewer than two groups are known."""
    known = ~torch.isnan(rates)
    high = rates.nan_to_num(nan=-torch.inf).amax(-1)
    low = rates.nan_to_num(nan=torch.inf).amin(-1)
    value = torch.where(high == 0, torch.ones_like(high), low / high)
    return torch.where(known.sum(-1) >= 2, value, torch.nan)


def rows_among(rate: Rate, counts: Tensor) -> Tensor:
    """[..., g] rows that ``rate`` is a mean over, from count tables [..., g, label, prediction]."""
    return counts[..., list(rate.labels), :].sum((-2, -1))


def group_accuracy(counts: Tensor) -> Tensor:
    """[..., g] P(prediction = label | group) of count tables [..., g, label, prediction]; nan for an empty group."""
    return (counts[..., 0, 0] + counts[..., 1, 1]) / counts.sum((-2, -1))
