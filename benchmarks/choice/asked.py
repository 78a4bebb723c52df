"""What is asked of a model: how unequal it may be, what it must reach, and what it may know."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks.choice.error import ChoiceError
from metrics.registry import COUNTS, metric_id, spec
from moe.decision import ProceduralBound
from moe.decision.demand import KAPPAS

FEW_KAPPAS = (1.0, 0.8, 0.6)
"""Margins that are tried, the widest first, where no transfer probability is stated."""

BOUNDABLE = ("fair_proc@1", "ref@1", "vef@1", "att_jsd@1", "signed_att@1")
"""Procedural metrics that stored reasons tell of."""

PARTLY = ("acc_gap@1", "worst_acc@1")
"""Metrics that thresholds can bound in part only.

The pool of thresholds (:mod:`metrics.threshold_pool`) runs between a common threshold and thresholds that give groups
equal rates of selection, of true or of false positives; accuracy is none of these, so that the best thresholds for it
may lie beside the pool.
"""


@dataclass(frozen=True)
class Asked:
    """The conditions that a recommended model keeps.

    Attributes
    ----------
    metric : str
        A metric of counts.
    limit : float
        Largest value allowed; of a metric of which high is better the smallest. Infinite: any.
    min_utility : float, optional
        Smallest ``utility@1``.
    bound : ProceduralBound, optional
        On the reasons of the model.
    transfer : float in (0, 1), optional
        Smallest probability that new rows keep the limit.
    without_group : bool
        Whether the model must decide without being told the group of a row.
    new_rows : int, optional
        Rows that the limit is to be kept on; default: as many as the test part has.
    seed : int
        Of the folds and of the draws that probabilities come from.

    Raises
    ------
    ChoiceError
        If a number makes no sense for its metric.
    """

    metric: str = "fair_res@1"
    limit: float = 0.05
    min_utility: float | None = None
    bound: ProceduralBound | None = None
    transfer: float | None = None
    without_group: bool = False
    new_rows: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.metric not in COUNTS:
            raise ChoiceError(
                f"{self.metric} cannot be limited: whether new rows keep a limit is known for metrics of counts. "
                f"These are {', '.join(COUNTS)}."
            )
        if math.isnan(self.limit) or not (math.isinf(self.limit) or 0 <= self.limit <= 1):
            way = "smallest" if self.higher else "largest"
            raise ChoiceError(
                f"--max-gap {self.limit:g} makes no sense for {self.metric}, which lies in [0, 1]: give the {way} "
                "value that is allowed, such as " + ("0.8." if self.higher else "0.05.")
            )
        if self.transfer is not None and not 0 < self.transfer < 1:
            raise ChoiceError(f"--transfer {self.transfer:g} is no probability; give a number between 0 and 1.")
        if self.min_utility is not None and not 0 <= self.min_utility <= 1:
            raise ChoiceError(f"--min-utility {self.min_utility:g} makes no sense: utility lies in [0, 1].")

    @property
    def higher(self) -> bool:
        """Whether the limit is one from below."""
        return spec(self.metric).direction == "higher"

    @property
    def unlimited(self) -> bool:
        """Whether any value is allowed."""
        return math.isinf(self.limit)

    @property
    def by_thresholds(self) -> bool:
        """Whether group thresholds can keep it; others are kept by choosing among trained configurations."""
        return COUNTS[self.metric].statistic.by_group

    @property
    def kappas(self) -> tuple[float, ...]:
        """Margins to try, the widest first: rows that choose keep ``inner(kappa)``."""
        if math.isinf(self.limit):
            return (1.0,)
        return FEW_KAPPAS if self.transfer is None else KAPPAS

    def inner(self, kappa: float) -> float:
        """The limit for the rows that choose, at a margin."""
        if math.isinf(self.limit):
            return self.limit
        return 1 - kappa * (1 - self.limit) if self.higher else kappa * self.limit


def bound_of(text: str) -> ProceduralBound:
    """A bound such as ``ATT_JSD=.1``.

    Raises
    ------
    ChoiceError
        If it is not ``=`` with a number behind it.
    metrics.registry.MetricError
        If the name is not that of a metric of reasons.
    """
    name, sign, number = text.partition("=")
    try:
        limit = float(number)
    except ValueError:
        limit = math.nan
    if not sign or math.isnan(limit) or limit < 0:
        raise ChoiceError(f"--max-procedural {text!r} is no bound; write a metric and a number, such as ATT_JSD=.1.")
    return ProceduralBound(metric_id(name, BOUNDABLE), limit)
