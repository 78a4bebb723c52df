"""The rule: of all candidates that keep what is asked, the one of the highest cross-fitted utility."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.choice.asked import Asked
from benchmarks.choice.candidate import Candidate, distance
from benchmarks.choice.cross_fit.worth import Estimate, mean_difference
from benchmarks.choice.error import ChoiceError
from benchmarks.choice.whole_rule import WholeRule


@dataclass(frozen=True, eq=False)
class Rival:
    """Another candidate that keeps what is asked.

    Attributes
    ----------
    candidate : Candidate
    lead : Estimate
        Utility of the recommended one minus its own, paired by row.
    """

    candidate: Candidate
    lead: Estimate

    @property
    def separable(self) -> bool:
        """Whether the recommended one is surely more useful."""
        return self.lead.low > 0


@dataclass(frozen=True, eq=False)
class Recommendation:
    """What is recommended, and how sure that is.

    Attributes
    ----------
    asked : Asked
    best : Candidate or None
        None: nothing keeps what is asked.
    free : Candidate
        The unconstrained choice: the method whose chosen model is the most useful as it is.
    price : Estimate or None
        Utility of ``best`` minus that of ``free``, paired by row.
    rivals : tuple of Rival
        All others that keep what is asked, the most useful first.
    out : tuple of Candidate
        Those that do not; the closest first.
    whole : WholeRule or None
        What choosing in this way is worth; None where nothing is recommended.
    """

    asked: Asked
    best: Candidate | None
    free: Candidate
    price: Estimate | None
    rivals: tuple[Rival, ...]
    out: tuple[Candidate, ...]
    whole: WholeRule | None = None

    @property
    def tied(self) -> tuple[Rival, ...]:
        """Others that are not surely less useful."""
        return tuple(rival for rival in self.rivals if not rival.separable)

    @property
    def simplest(self) -> Candidate | None:
        """The cheapest of these, where it is cheaper than the recommended one."""
        if self.best is None or not self.tied:
            return None
        cheapest = min((rival.candidate for rival in self.tied), key=_effort)
        return cheapest if _effort(cheapest) < _effort(self.best) else None


def recommend(candidates: Sequence[Candidate], free: Sequence[Candidate], asked: Asked) -> Recommendation:
    """Apply the rule.

    Parameters
    ----------
    candidates : sequence of Candidate
    free : sequence of Candidate
        Chosen models at their own cut, one per method.
    asked : Asked

    Raises
    ------
    ChoiceError
        If no method has a utility on the rows that choose.
    """
    useful = [one for one in free if not math.isnan(one.utility.value) and not _always_constant(one)]
    if not useful:
        raise ChoiceError(
            "No method of this task has a utility on its validation rows: they hold one label, or all predictions "
            f"are constant. Looked at: {', '.join(one.method for one in free)}. Choose among more methods, or give the "
            "task more rows."
        )
    unlimited = min(useful, key=_order)
    able = sorted((one for one in candidates if not one.excluded), key=_order)
    out = sorted((one for one in candidates if one.excluded), key=lambda one: (distance(one, asked), one.name))
    if not able:
        return Recommendation(asked, None, unlimited, None, (), tuple(out))
    best, *others = able
    rivals = tuple(Rival(one, mean_difference(best.worths, one.worths)) for one in others)
    return Recommendation(asked, best, unlimited, mean_difference(best.worths, unlimited.worths), rivals, tuple(out))


def _always_constant(one: Candidate) -> bool:
    """Whether it gives nearly all rows the same answer on every split: on a few small ones that may be chance."""
    return all(tried.held.constant for tried in one.tried)


def _order(one: Candidate) -> tuple[float, bool, float, float, str]:
    """The most useful first; of equals the one of the least effort, then by name."""
    return -one.utility.value, *_effort(one), one.name


def _effort(one: Candidate) -> tuple[bool, float, float]:
    """Whether the group must be known, learnt numbers, seconds."""
    numbers, seconds = (math.inf if math.isnan(x) else x for x in (one.cost.parameters, one.cost.seconds))
    return one.needs_group, numbers, seconds
