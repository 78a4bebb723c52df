"""Values of the bias sets: functions of sums over items, with cluster bootstrap intervals, as rows of a table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foundation.seeding import numpy_generator
from metrics.composites import exact_ends
from metrics.proportions import unseen_share
from metrics.resample import Resampled
from metrics.spec import Bias
from metrics.value import Value

Array = NDArray[np.float64]
Formula = Callable[[Array], Array]
"""[..., c] sums of c columns -> [...] values; nan where a denominator is 0."""
DRAWS = 1000
SPREAD = 1e-9
"""Draws that differ by less show no spread."""
TIE = 1e-6
"""Log-probabilities that differ by less are equal: rounding of one pass against another."""


@dataclass(frozen=True)
class BiasMetric:
    """What a bias metric is: ``ideal`` is the value without bias (or of a perfect answer)."""

    id: str
    set: str
    low: float
    high: float
    ideal: float
    meaning: str
    shifted: Bias = "none"  # by resampling, see metrics.resample.interval

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest possible value."""
        return self.low, self.high


def preferred(first: Array, second: Array) -> Array:
    """1 where the first log-likelihood is larger, 0 where it is smaller, 0.5 for a tie (:data:`TIE`)."""
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    return np.where(np.abs(difference) <= TIE, 0.5, (difference > 0).astype(np.float64))


def chosen(scores: Array) -> Array:
    """[n, options] share of the choice: 1 for the best score of a row, split equally among ties."""
    best = (scores >= scores.max(axis=1, keepdims=True) - TIE).astype(np.float64)
    shares: Array = best / best.sum(axis=1, keepdims=True)
    return shares


def resampled(
    columns: Array,
    units: Sequence[object],
    formula: Formula,
    generator: np.random.Generator,
    why: str,
    draws: int = DRAWS,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Resampled:
    """A function of column sums, with draws of the cluster bootstrap.

    Parameters
    ----------
    columns : [n, c] float64
        What is summed over items.
    units : length n
        Items with the same unit are drawn together (templates, target terms, pairs).
    formula : callable
        Sums to value.
    why : str
        Reason given when the value is not estimable.
    bounds : (float, float)
        Smallest and largest possible value.

    Returns
    -------
    Resampled
        Without draws (so without an interval) when there is only one unit: its spread cannot be seen. Neither can that
        of units that all give the same: up to a share :func:`metrics.proportions.unseen_share` of units may be
        otherwise, each as far as the bounds go; without bounds there is no interval.
    """
    names = {unit: index for index, unit in enumerate(dict.fromkeys(units))}
    if not names:
        return Resampled(float("nan"), status="not_estimable", reason="there are no items")
    sums = np.zeros((len(names), columns.shape[1]))
    np.add.at(sums, [names[unit] for unit in units], columns)
    estimate = float(formula(sums.sum(axis=0)))
    if np.isnan(estimate):
        return Resampled(estimate, status="not_estimable", reason=why)
    if len(names) == 1:
        return Resampled(estimate)
    counts = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    drawn = np.asarray(formula(counts @ sums))
    if np.nanmax(drawn) - np.nanmin(drawn) > SPREAD:
        return Resampled(estimate, torch.from_numpy(drawn))
    if not all(map(math.isfinite, bounds)):
        return Resampled(estimate)
    otherwise = unseen_share(len(names))
    low, high = (estimate + otherwise * (end - estimate) for end in bounds)
    return Resampled(estimate, torch.from_numpy(drawn), exact=(low, high))


def macro(parts: dict[str, Resampled]) -> Resampled:
    """Mean over categories, each resampled on its own; not estimable as soon as one of them is not.

    A mean over fewer categories would be another quantity, not comparable between models. Degenerate if all are.
    """
    missing = [name for name, part in parts.items() if part.status == "not_estimable"]
    if missing:
        return Resampled(float("nan"), status="not_estimable", reason=f"not estimable for {', '.join(missing)}")
    estimate = float(np.mean([part.estimate for part in parts.values()]))
    mean = Resampled(
        estimate,
        _mean_draws([part.draws for part in parts.values()]),
        _mean_draws([part.null for part in parts.values()]),
        exact=exact_ends(lambda *values: sum(values) / len(values), list(parts.values())),
    )
    reasons = [part.reason for part in parts.values()]
    return flagged(mean, all(part.status == "degenerate" for part in parts.values()), reasons[0])


def _mean_draws(draws: list[torch.Tensor | None]) -> torch.Tensor | None:
    """Draw by draw the mean over categories that were drawn apart; None as soon as one has none."""
    known = [some for some in draws if some is not None]
    return torch.stack(known).mean(dim=0) if len(known) == len(draws) else None


def flagged(value: Resampled, vacuous: bool, why: str) -> Resampled:
    """A value that is right but shows nothing is degenerate: the model does not look at what is measured."""
    return dataclasses.replace(value, status="degenerate", reason=why) if vacuous and value.status == "ok" else value


def generator_of(seed: int, *words: str | int) -> np.random.Generator:
    """Generator of one resampled value."""
    return numpy_generator(seed, "bias", *words)


def row(metric: BiasMetric, category: str, value: Resampled, n: int) -> dict[str, Any]:
    """One row of the result table; not estimable values have estimate, low and high nan, with a reason.

    ``null_p95`` is the 95th percentile of the value if items are dealt to groups at random; nan where there is none.
    """
    v: Value = value.value(metric.shifted, bounds=metric.bounds)
    return {
        "set": metric.set,
        "metric": metric.id,
        "category": category,
        "estimate": v.estimate,
        "low": v.low,
        "high": v.high,
        "status": v.status,
        "reason": v.reason,
        "n": n,
        "null_p95": v.null_p95,
    }


def capped(
    strata: Sequence[object], limit: int | None, generator: np.random.Generator, *, equal: bool = False
) -> list[int]:
    """At most ``limit`` positions, spread over strata: proportional to their sizes, or the same number from each.

    Parameters
    ----------
    strata : length n
        Stratum of each unit.
    limit : int or None
        None: all. Every stratum keeps at least one unit as long as the limit allows.
    equal : bool
        Same number per stratum (as far as it has them) instead of proportional.

    Returns
    -------
    list of int, ascending
    """
    n = len(strata)
    if limit is None or limit >= n:
        return list(range(n))
    members: dict[object, list[int]] = {}
    for index, stratum in enumerate(strata):
        members.setdefault(stratum, []).append(index)
    shuffled = [generator.permutation(members[stratum]) for stratum in members]
    generator.shuffle(shuffled)  # which stratum comes first among equals
    # position p of a stratum of s units gets rank (p + 1/2) / s (or p): the smallest ranks over all strata are kept
    ranked = [
        (p > 0, float(p) if equal else (p + 0.5) / len(rows), order, int(index))
        for order, rows in enumerate(shuffled)
        for p, index in enumerate(rows)
    ]
    return sorted(index for *_, index in sorted(ranked)[:limit])
