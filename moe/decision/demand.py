"""What is demanded of a decision: how unequal it may be, with what margin, and what it may know."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from metrics.registry import COUNTS

Mode = Literal["aware", "blind", "batch"]
MODES: tuple[Mode, ...] = ("aware", "blind", "batch")

KAPPAS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Margins that are tried, the widest first, where a transfer probability is stated."""

PROCEDURAL = ("ref@1", "vef@1", "att_jsd@1", "fair_proc@1", "signed_att@1", "cfr@1")
"""Procedural metrics that can be bounded."""


@dataclass(frozen=True)
class ProceduralBound:
    """Largest value of a procedural metric.

    Attributes
    ----------
    metric : str
        One of :data:`PROCEDURAL`.
    limit : float
    """

    metric: str
    limit: float

    def __post_init__(self) -> None:
        if self.metric not in PROCEDURAL:
            raise ValueError(f"{self.metric} cannot be bounded; bounds are known for {', '.join(PROCEDURAL)}")


@dataclass(frozen=True)
class Demand:
    """An allowed gap and how it is to be kept.

    Attributes
    ----------
    gap : str
        A metric of counts that compares groups.
    limit : float
        Largest gap allowed on new rows (smallest value, for metrics of which high is better); ``inf``: any.
    kappa : float in (0, 1]
        The rows that choose keep ``kappa * limit`` (of a metric of which high is better, ``1 - kappa (1 - limit)``).
    transfer : float in (0, 1), optional
        Instead of a given ``kappa``: the largest of :data:`KAPPAS` at which as many new rows as the test part has keep
        the limit with this probability (:func:`moe.decision.transfer.transfer_probability`).
    mode : {"aware", "blind", "batch"}
        "aware": one threshold per group. "blind": the group of a row is not known when it is decided; the cut is linear
        in a model of (label, group). "batch": cuts are moved until the groups' selection rates **on the batch that is
        being scored** are those of the out-of-fold rows. That is a property of this batch only: the same cuts are no
        fairer than others on further rows, so it is for scoring finished lists, and never a default.
    procedural : ProceduralBound, optional
    """

    gap: str = "fair_res@1"
    limit: float = 0.05
    kappa: float = 1.0
    transfer: float | None = None
    mode: Mode = "aware"
    procedural: ProceduralBound | None = None

    def __post_init__(self) -> None:
        if self.gap not in COUNTS or not COUNTS[self.gap].statistic.by_group:
            raise ValueError(
                f"{self.gap} is no gap that can be demanded: it is no metric of counts that compares groups"
            )
        if not 0 < self.kappa <= 1:
            raise ValueError(f"kappa is {self.kappa}; it must be above 0 and at most 1")
        if self.transfer is not None and not 0 < self.transfer < 1:
            raise ValueError(f"transfer is {self.transfer}; it is a probability between 0 and 1")
        if self.mode not in MODES:
            raise ValueError(f"mode is {self.mode!r}; modes are {', '.join(MODES)}")

    def inner(self, kappa: float) -> float:
        """The limit that the rows that choose have to keep."""
        if math.isinf(self.limit):
            return self.limit
        if COUNTS[self.gap].statistic.direction == "higher":
            return 1 - kappa * (1 - self.limit)
        return kappa * self.limit

    @property
    def kappas(self) -> tuple[float, ...]:
        """Margins to try, the widest first."""
        return KAPPAS if self.transfer is not None and not math.isinf(self.limit) else (self.kappa,)
