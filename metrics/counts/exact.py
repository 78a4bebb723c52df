"""Bounds from the counts themselves, where resampling cannot see: rates of exactly 0 or 1 have no spread.

14 of 14 positives found do not say that all are: up to 23 % may be missed (Clopper & Pearson 1934; the "rule of
three"). Resampling 14 hits gives 14 hits, so its interval is [1, 1], and that of a gap between two such groups [0, 0].
Gaps get Newcombe's interval of a difference (Statistics in Medicine 17, 1998, method 10), ratios that of Donner & Zou
(Statistical Methods in Medical Research 21, 2012): both recover the variance from Wilson's bounds of the two rates,
which know one at 0 and 1 too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

from metrics.counts.rates import Rate
from metrics.proportions import unseen_share, wilson

if TYPE_CHECKING:
    from torch import Tensor

Ends = tuple[float, float]
"""Lower and upper end."""


@dataclass(frozen=True)
class Proportion:
    """Hits among independent trials."""

    hits: float
    trials: float

    @property
    def share(self) -> float:
        """Hits per trial."""
        return self.hits / self.trials

    @property
    def is_blind(self) -> bool:
        """Whether resampling sees no spread: there are hits alone, or none."""
        return self.hits in (0, self.trials)

    @property
    def wilson(self) -> Ends:
        """Wilson's bounds."""
        return wilson(self.hits, self.trials)

    @property
    def exact(self) -> Ends:
        """Clopper-Pearson bounds of a blind proportion."""
        missed = unseen_share(self.trials)
        return (0.0, missed) if self.hits == 0 else (1.0 - missed, 1.0)


def proportions(rate: Rate, table: Tensor, min_rows: int = 1) -> list[Proportion]:
    """The groups' proportions, from their counts [g, 2, 2]; groups with fewer relevant rows are left out.

    A row that counts twice in the denominator, as a hit does in F1, is one trial.
    """
    heaviest = max(weight for row in rate.among for weight in row)
    relevant = table.sum(-1)[..., list(rate.labels)].sum(-1).tolist()
    pairs = zip(rate.hits_of(table).tolist(), rate.rows(table).tolist(), relevant, strict=True)
    return [Proportion(h / heaviest, n / heaviest) for h, n, rows in pairs if n > 0 and rows >= min_rows]


def difference_ends(first: Proportion, second: Proportion) -> Ends:
    """Newcombe's bounds of first minus second."""
    (a, b), ((low_a, high_a), (low_b, high_b)) = (first.share, second.share), (first.wilson, second.wilson)
    return a - b - math.hypot(a - low_a, high_b - b), a - b + math.hypot(high_a - a, b - low_b)


def ratio_ends(first: Proportion, second: Proportion) -> Ends:
    """Donner and Zou's bounds of first over second; nothing is known, [0, inf], where there are no hits below."""
    (a, b), ((low_a, high_a), (low_b, high_b)) = (first.share, second.share), (first.wilson, second.wilson)
    if b == 0:
        return 0.0, math.inf
    above, below = high_b * (2 * b - high_b), low_b * (2 * b - low_b)
    low = 0.0
    if above != 0:
        low = (a * b - math.sqrt(max((a * b) ** 2 - low_a * (2 * a - low_a) * above, 0.0))) / above
    return low, (a * b + math.sqrt(max((a * b) ** 2 - high_a * (2 * a - high_a) * below, 0.0))) / below


def gap_ends(groups: Sequence[Proportion]) -> Ends:
    """Bounds of the largest minus the smallest rate: the most that a pair of groups says."""
    ends = [difference_ends(a, b) for a, b in permutations(groups, 2)]
    return max(0.0, *(low for low, _ in ends)), min(1.0, max(high for _, high in ends))


def quotient_ends(groups: Sequence[Proportion]) -> Ends:
    """Bounds of the smallest over the largest rate."""
    ends = [ratio_ends(a, b) for a, b in permutations(groups, 2)]
    return max(0.0, min(low for low, _ in ends)), min(1.0, min(high for _, high in ends))


def smallest_ends(groups: Sequence[Proportion]) -> Ends:
    """Bounds of the smallest rate."""
    ends = [group.exact if group.is_blind else group.wilson for group in groups]
    return min(low for low, _ in ends), min(high for _, high in ends)


def any_blind(rates: Iterable[Sequence[Proportion]]) -> bool:
    """Whether resampling misses the spread of a group's rate; False where fewer than two groups can be compared."""
    found = list(rates)
    return all(len(groups) > 1 for groups in found) and any(group.is_blind for groups in found for group in groups)
