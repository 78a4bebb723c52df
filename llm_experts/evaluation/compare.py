"""Two models on the same items: how far apart, how sure, and how sure when several are compared.

McNemar's exact test for shares of right answers (only items on which the two differ say anything); for all others the
scores of the two are computed anew with the models' answers swapped at random, item by item (approximate
randomisation, Noreen 1989; for corpus scores Riezler and Maxwell 2005). Intervals are Newcombe's for paired
proportions (1998, method 10), and those of a paired bootstrap of items for others. P-values of one family of
comparisons are adjusted by Holm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from foundation.seeding import numpy_generator
from llm_experts.evaluation.error import EvaluationError
from llm_experts.evaluation.examination import DRAWS, check_enough, not_scored
from llm_experts.evaluation.score import Answered, Array, Score
from metrics.holm import holm
from metrics.proportions import Z, unseen_share, wilson

ROUNDING = 1e-12
Verdicts = NDArray[np.bool_] | Tensor
"""Whether each item is right."""


@dataclass(frozen=True)
class Comparison:
    """One model against another by one score.

    Attributes
    ----------
    score, model, against : str
    difference : float
        Score of ``model`` minus that of ``against``.
    low, high : float
        Its 95 % interval.
    p : float
        Two-sided p-value of "no difference".
    p_holm : float
        The same, adjusted for the comparisons that were made together.
    n : int
        Items.
    test : str
        ``mcnemar`` or ``randomisation``.
    only, only_against : int
        Items that only the one, or only the other, has right; 0 for scores that are no proportions.
    status, reason : str
        As of :class:`llm_experts.evaluation.examination.ScoreRow`.
    """

    score: str
    model: str
    against: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    n: int
    test: str = ""
    only: int = 0
    only_against: int = 0
    status: str = "ok"
    reason: str = ""


def compare(
    score: Score,
    model: tuple[str, Sequence[Answered]],
    against: tuple[str, Sequence[Answered]],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Comparison:
    """Compare two models, each (name, answered items), on the same items in the same order.

    Raises
    ------
    EvaluationError
        If there are fewer than 30 items, or the two were not asked the same.
    """
    (name, mine), (other, theirs) = model, against
    check_enough(len(mine))
    if [item.example.id for item in mine] != [item.example.id for item in theirs]:
        raise EvaluationError(f"{name} and {other} did not answer the same items; ask both the same set and compare.")
    why = not_scored(mine, score) or not_scored(theirs, score)
    if why:
        nan = math.nan
        return Comparison(score.id, name, other, nan, nan, nan, nan, nan, len(mine), "", 0, 0, "not_estimable", why)
    columns = np.stack([score.columns(mine), score.columns(theirs)])
    if score.proportion:
        return _proportions(score.id, name, other, columns[..., 0])
    return _others(score, name, other, columns, seed, draws)


def compare_all(
    scores: Sequence[Score],
    models: Sequence[tuple[str, Sequence[Answered]]],
    against: tuple[str, Sequence[Answered]],
    *,
    seed: int = 0,
) -> list[Comparison]:
    """Each model against one other by each score; Holm's adjustment runs over the models of a score."""
    found: list[Comparison] = []
    for score in scores:
        made = [compare(score, model, against, seed=seed) for model in models]
        adjusted = holm([one.p for one in made])
        found += [replace(one, p_holm=p) for one, p in zip(made, adjusted, strict=True)]
    return found


def mcnemar(only: int, only_against: int) -> float:
    """Exact two-sided p-value of McNemar's test from the items on which two models differ; 1 where there is none."""
    n = only + only_against
    if n == 0:
        return 1.0
    tail = sum(math.comb(n, k) for k in range(min(only, only_against) + 1))
    return float(min(1.0, 2 * tail / (1 << n)))  # whole numbers until the last division


def newcombe(both: int, only: int, only_against: int, neither: int, z: float = Z) -> tuple[float, float]:
    """Interval of the difference of two paired proportions (Newcombe, Statistics in Medicine 1998, method 10).

    Of level 95 %, or of that of another ``z`` (:func:`metrics.proportions.quantile`).
    """
    n = both + only + only_against + neither
    first, second = both + only, both + only_against
    p, q = first / n, second / n
    (p_low, p_high), (q_low, q_high) = wilson(first, n, z), wilson(second, n, z)
    phi = _phi(both, only, only_against, neither)
    below = math.sqrt(_square(p - p_low, q_high - q, phi))
    above = math.sqrt(_square(p_high - p, q - q_low, phi))
    return max(-1.0, p - q - below), min(1.0, p - q + above)


class PairedShares(NamedTuple):
    """How many items two models have right: both of them, only the one, only the other, neither."""

    both: int
    only: int
    only_against: int
    neither: int

    @classmethod
    def of(cls, mine: Verdicts, theirs: Verdicts) -> PairedShares:
        """From verdicts [n] bool on the same items in the same order, as arrays or tensors."""
        both, only, against = (int(some.sum()) for some in (mine & theirs, mine & ~theirs, ~mine & theirs))
        return cls(both, only, against, len(mine) - both - only - against)

    @property
    def difference(self) -> float:
        """Share of the one less that of the other."""
        return (self.only - self.only_against) / sum(self)

    @property
    def p(self) -> float:
        """That of McNemar's test."""
        return mcnemar(self.only, self.only_against)

    def interval(self, z: float = Z) -> tuple[float, float]:
        """Newcombe's, of the difference."""
        return newcombe(*self, z)


def _phi(both: int, only: int, only_against: int, neither: int) -> float:
    """Correlation of the two, its numerator corrected towards 0 where it is positive."""
    margins = (both + only) * (only_against + neither) * (both + only_against) * (only + neither)
    if margins == 0:
        return 0.0
    n, cross = both + only + only_against + neither, both * neither - only * only_against
    corrected = max(cross - n / 2, 0) if cross > 0 else cross
    return corrected / math.sqrt(margins)


def _square(one: float, other: float, phi: float) -> float:
    return max(0.0, one**2 - 2 * phi * one * other + other**2)


def _proportions(score: str, name: str, other: str, right: Array) -> Comparison:
    pair = PairedShares.of(*(right > 0.5))
    return Comparison(
        score, name, other, pair.difference, *pair.interval(), pair.p, pair.p, right.shape[1], "mcnemar", pair.only,
        pair.only_against,
    )  # fmt: skip


def _others(score: Score, name: str, other: str, columns: Array, seed: int, draws: int) -> Comparison:
    n = columns.shape[1]
    generator = numpy_generator(seed, "evaluation", "compare", score.id)
    sums = columns.sum(axis=1)
    first, second = (float(score.formula(one)) for one in sums)
    difference = first - second
    swapped = generator.integers(0, 2, size=(draws, n)).astype(np.float64) @ (columns[1] - columns[0])
    shuffled = score.formula(sums[0] + swapped) - score.formula(sums[1] - swapped)
    reached = np.abs(shuffled) >= abs(difference) - ROUNDING
    p = float((1 + reached.sum()) / (1 + draws))
    counts = generator.multinomial(n, np.full(n, 1 / n), size=draws)
    spread = score.formula(counts @ columns[0]) - score.formula(counts @ columns[1])
    low, high = _ends(spread, difference, score, n)
    undefined = math.isnan(difference)
    status, reason = ("not_estimable", "the score of one of them is not defined") if undefined else ("ok", "")
    p = math.nan if undefined else p
    return Comparison(score.id, name, other, difference, low, high, p, p, n, "randomisation", 0, 0, status, reason)


def _ends(spread: Array, difference: float, score: Score, n: int) -> tuple[float, float]:
    """Percentile interval; where all draws are equal, what so many items without a difference leave open."""
    known = spread[~np.isnan(spread)]
    if not len(known):
        return math.nan, math.nan
    if known.max() - known.min() > ROUNDING:
        low, high = np.quantile(known, [0.025, 0.975])
        return float(low), float(high)
    width = score.range[1] - score.range[0]
    open_ = unseen_share(n) * width
    return (difference - open_, difference + open_) if math.isfinite(width) else (math.nan, math.nan)
