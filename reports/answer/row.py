"""One row of the answer: a method in one way, where it is asked."""

from __future__ import annotations

from dataclasses import dataclass

from reports.levels.contenders import PLAIN, Contender
from reports.levels.transfer import Share
from reports.stats.statistics import Interval


@dataclass(frozen=True)
class Lead:
    """A difference in utility on test rows from the recommended method.

    Attributes
    ----------
    interval : Interval
        Row minus recommended; clustered by source, on one task over its splits; before Holm's correction.
    p_holm : float
    verdict : str
        As ``reports.stats.contrasts.verdict``, of the row: "worse" says that the recommended method is surely better.
    """

    interval: Interval
    p_holm: float
    verdict: str


@dataclass(frozen=True)
class AnswerRow:
    """A method in one way.

    Attributes
    ----------
    contender : Contender
    main : bool
        Whether it is the way in which its method stands: the best one on the rows that choose.
    tasks : int
        Tasks on which it has a utility.
    utility, gap : Interval
        Means over tasks on test rows; for one task over its splits.
    procedural : Interval or None
        ``fair_proc@1`` on test rows; None where it is not known.
    measured : bool
        Whether ``procedural`` is that of this very model at this level; else it is that of the method's chosen model.
    kept : Share or None
        Task × splits whose test gap is within the limit, of those that kept it on the rows that choose; None at any
        gap.
    imputed, cells : int
        Task × splits on which the constant predictor stands in, of all.
    worth : float
        Utility on the rows that choose.
    lead : Lead or None
        From the recommended method; None for itself and where there is none.
    ranks : (int, int) or None
        Ranks in utility that the data cannot rule out among the methods that are on all tasks, each in its way; None
        for others.
    seconds : float
        Mean over tasks of what all that it stands on took; nan if not known.
    """

    contender: Contender
    main: bool
    tasks: int
    utility: Interval
    gap: Interval
    procedural: Interval | None
    measured: bool
    kept: Share | None
    imputed: int
    cells: int
    worth: float
    lead: Lead | None
    ranks: tuple[int, int] | None
    seconds: float

    @property
    def needs_group(self) -> bool:
        """Whether a row's group must be known in order to decide about it."""
        return self.contender.variant != PLAIN or self.contender.method.row.sensitive_at_prediction

    @property
    def broken(self) -> int:
        """Task × splits whose test gap is above the limit, of those that kept it on the rows that choose."""
        return 0 if self.kept is None else self.kept.cells - self.kept.kept

    @property
    def breaks(self) -> bool:
        """Whether the limit is broken on more than half of them."""
        return self.kept is not None and 2 * self.broken > self.kept.cells
