"""What a metric returns: never a bare number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "not_estimable", "degenerate"]


@dataclass(frozen=True, slots=True)
class Value:
    """One metric of one prediction.

    Attributes
    ----------
    estimate, low, high : float
        Point estimate and its 95 % interval; nan where there is none.
    null_p95 : float
        95th percentile of the metric when group membership is shuffled; nan for metrics without groups.
    status : {"ok", "not_estimable", "degenerate"}
        "degenerate": the number is right but the prediction is (nearly) constant.
    reason : str
        Why, when status is not "ok".
    null_mean, null_sd : float
        Mean and standard deviation of the metric when group membership is shuffled: with them the null of a mean over
        splits follows (:mod:`reports.stats.null`).
    """

    estimate: float
    low: float = math.nan
    high: float = math.nan
    null_p95: float = math.nan
    status: Status = "ok"
    reason: str = ""
    null_mean: float = math.nan
    null_sd: float = math.nan

    @classmethod
    def not_estimable(cls, reason: str) -> Value:
        """A value that the data cannot give: never 0."""
        return cls(math.nan, status="not_estimable", reason=reason)
