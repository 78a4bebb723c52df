"""Resampling: what a metric's draws are and how they become an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from metrics.value import Status, Value


@dataclass(frozen=True)
class Resampled:
    """A metric's point estimate with its bootstrap draws and its permutation null.

    Attributes
    ----------
    estimate : float
        The metric on the rows as they are; nan if not estimable.
    draws : [B] float64 or None
        The metric on B bootstrap samples of the rows; nan where a draw is not estimable.
    null : [P] float64 or None
        The metric under P shuffles of group membership; None for metrics without groups.
    status, reason : str
        As in :class:`metrics.value.Value`.
    """

    estimate: float
    draws: Tensor | None = None
    null: Tensor | None = None
    status: Status = "ok"
    reason: str = ""

    def value(self) -> Value:
        """The value with percentile interval (2.5 %, 97.5 % of the finite draws) and 95th percentile of the null."""
        if self.status == "not_estimable":
            return Value.not_estimable(self.reason)
        low, high = _quantiles(self.draws, 0.025, 0.975)
        (null_p95,) = _quantiles(self.null, 0.95)
        return Value(self.estimate, low, high, null_p95, self.status, self.reason)


def _quantiles(draws: Tensor | None, *levels: float) -> tuple[float, ...]:
    """Quantiles of the finite draws; nan where there are none."""
    finite = torch.empty(0) if draws is None else draws[torch.isfinite(draws)].to(torch.float64)
    if finite.numel() == 0:
        return (math.nan,) * len(levels)
    at = torch.quantile(finite, torch.tensor(levels, dtype=torch.float64))
    return tuple(at.tolist())
