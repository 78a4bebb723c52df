"""A candidate: one method kept to the limit in one way, on every split of the task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.choice.asked import Asked
from benchmarks.choice.cross_fit.held import Held
from benchmarks.choice.cross_fit.new_rows import Kept
from benchmarks.choice.cross_fit.worth import Estimate, Worth, mean_worth

AS_IT_IS = "as it is"
"""Way of a chosen model at its own cut: what one would take if nothing were limited."""


@dataclass(frozen=True)
class Cost:
    """What a method costs: seconds of tuning and fitting, learnt numbers; nan where unknown."""

    seconds: float = math.nan
    parameters: float = math.nan


UNKNOWN = Cost()


@dataclass(frozen=True, eq=False)
class Tried:
    """A way on one split at one margin.

    Attributes
    ----------
    held : Held
    worth : Worth
        On validation rows, which all methods have.
    kept : Kept
        What is foreseen of new rows.
    ceiling : float
    reasons : float
        Value of the bounded procedural metric; nan without a bound, or where it is not known.
    """

    held: Held
    worth: Worth
    kept: Kept
    ceiling: float
    reasons: float = math.nan


@dataclass(frozen=True, eq=False)
class Candidate:
    """A method × way at the margin that suits it best.

    Attributes
    ----------
    method, way : str
    tried : tuple of Tried
        One per split.
    needs_group : bool
        Whether it must be told the group of a row.
    cost : Cost
    excluded : str
        Why it is not recommended; "" where it keeps all that is asked.
    """

    method: str
    way: str
    tried: tuple[Tried, ...]
    needs_group: bool
    cost: Cost
    excluded: str = ""

    @property
    def name(self) -> str:
        """For people: "lightgbm + thresholds"."""
        return self.method if self.way == "plain" else f"{self.method} + {self.way}"

    @property
    def kappa(self) -> float:
        """Its margin."""
        return self.tried[0].held.kappa

    @property
    def worths(self) -> tuple[Worth, ...]:
        """Utility of every split."""
        return tuple(one.worth for one in self.tried)

    @property
    def utility(self) -> Estimate:
        """Mean over splits."""
        return mean_worth(self.worths)

    @property
    def gap(self) -> float:
        """Mean over splits of the metric on cross-fitted decisions."""
        return _mean([one.held.gap for one in self.tried])

    @property
    def agreement(self) -> float:
        """Share of the rows that the delivered model decides as the folds' choices do, mean over splits."""
        return _mean([one.held.agreement for one in self.tried])

    @property
    def probability(self) -> float:
        """That new rows keep the limit, mean over splits."""
        return _mean([one.kept.probability for one in self.tried])

    @property
    def foreseen(self) -> tuple[float, float]:
        """Between which the metric lies on new rows with 95 % probability, mean over splits."""
        return _mean([one.kept.low for one in self.tried]), _mean([one.kept.high for one in self.tried])

    @property
    def ceiling(self) -> float:
        """The probability for a rule without a gap, mean over splits."""
        return _mean([one.ceiling for one in self.tried])

    @property
    def reasons(self) -> float:
        """The bounded procedural metric, mean over splits."""
        return _mean([one.reasons for one in self.tried])


def at_margins(
    method: str, way: str, splits: Sequence[Sequence[Tried]], needs_group: bool, cost: Cost, asked: Asked
) -> list[Candidate]:
    """One candidate per margin, the widest first.

    Parameters
    ----------
    splits : sequence of sequences of Tried
        Per split one per margin of ``asked.kappas``, the widest first.
    """
    plain = [Candidate(method, way, tuple(tried), needs_group, cost) for tried in zip(*splits, strict=True)]
    return [replace(one, excluded=why_not(one, asked)) for one in plain]


def best_margin(found: Sequence[Candidate], asked: Asked) -> Candidate:
    """The widest margin that keeps all that is asked; where none does, the one that comes closest."""
    able = [one for one in found if not one.excluded]
    return able[0] if able else min(found, key=lambda one: distance(one, asked))


def distance(one: Candidate, asked: Asked) -> tuple[bool, float, float]:
    """How far a candidate is from what is asked.

    Farthest are those that no smaller wish would let in: they know what they may not, their reasons are unknown, or
    they are nearly constant.
    Then by what is missed of stated probability, reasons and utility together, then by the limit.
    """
    over = beyond(one.gap, asked)
    barred = (
        (asked.without_group and one.needs_group)
        or (asked.bound is not None and math.isnan(one.reasons))
        or any(tried.held.constant for tried in one.tried)
    )
    missed = math.inf if math.isinf(over) else _missed(one, asked)
    return barred, missed, over


def _missed(one: Candidate, asked: Asked) -> float:
    """By how much the conditions beside the limit are missed; unknown values count elsewhere."""
    parts = [0.0]
    if asked.transfer is not None:
        parts.append(asked.transfer - one.probability)
    if asked.bound is not None:
        parts.append(one.reasons - asked.bound.limit)
    if asked.min_utility is not None:
        parts.append(asked.min_utility - one.utility.value)
    return math.fsum(part for part in parts if part > 0)


def beyond(gap: float, asked: Asked) -> float:
    """By how much a value breaks the limit; at most 0 where it keeps it, infinite where it is unknown."""
    if math.isnan(gap):
        return math.inf
    if math.isinf(asked.limit):
        return -math.inf
    return asked.limit - gap if asked.higher else gap - asked.limit


def why_not(one: Candidate, asked: Asked) -> str:
    """Why a candidate is not recommended; "" where it keeps all that is asked."""
    return why_unusable(one, asked) or _why_beyond(one, asked) or why_beside(one, asked)


def why_unusable(one: Candidate, asked: Asked) -> str:
    """Why nothing can be said of a candidate, or it knows what it may not; "" otherwise."""
    helds = [tried.held for tried in one.tried]
    if asked.without_group and one.needs_group:
        return "it must be told the group"
    if any(held.fit is None or held.missing for held in helds):
        return _why_none(helds, asked)
    if any(held.constant for held in helds):
        return "it gives nearly all rows the same answer"
    if math.isnan(one.gap) or math.isnan(one.utility.value):
        return "its gap or its utility cannot be estimated on the rows that choose"
    return ""


def _why_none(helds: Sequence[Held], asked: Asked) -> str:
    """Why nothing was found on all rows that choose, or without a fold: too few rows, or values beyond the limit."""
    name = asked.metric.split("@")[0]
    if any(held.fit is None for held in helds):
        if any(held.fit is None and not all(held.estimable[:1]) for held in helds):
            return f"groups have too few rows for {name}"
        return "nothing of it keeps the limit on the rows that choose"
    few_rows = sum(held.estimable[1:].count(False) for held in helds if held.missing)
    if few_rows:
        return f"without one fold groups have too few rows for {name} (so for {few_rows} folds)"
    return f"on {sum(held.missing for held in helds)} folds nothing of it keeps the limit"


def _why_beyond(one: Candidate, asked: Asked) -> str:
    if beyond(one.gap, asked) <= 0:
        return ""
    seen = _mean([tried.held.seen for tried in one.tried])
    return f"it keeps the limit on rows that chose it ({seen:.3f}), not on others ({one.gap:.3f})"


def why_beside(one: Candidate, asked: Asked) -> str:
    """Which condition beside the limit is missed; "" if none."""
    if asked.bound is not None:
        if math.isnan(one.reasons):
            return "its reasons are not stored: only those of a method's chosen model are"
        if one.reasons > asked.bound.limit:
            return f"its reasons differ too much ({asked.bound.metric} {one.reasons:.3f})"
    if asked.min_utility is not None and one.utility.value < asked.min_utility:
        return f"its utility is {one.utility.value:.3f}"
    if asked.transfer is not None and one.probability < asked.transfer:
        return f"new rows keep the limit with probability {one.probability:.2f} only"
    return ""


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
