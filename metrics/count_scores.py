"""What a count table alone says of a prediction: metrics of counts with interval, null and notes, rates of groups.

:mod:`metrics.score` has the table from all rows at once, :mod:`metrics.tallies` from one pass over rows that no memory
holds; from here on both are the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from foundation.seeding import numpy_generator
from metrics.counts.rates import ACCURACY, FALSE_POSITIVE_RATE, SELECTION_RATE, TRUE_POSITIVE_RATE, Rate
from metrics.counts.tables import permute_counts, resample_counts
from metrics.deviations import count_deviations
from metrics.points import COUNT_METRICS, DEGENERATE_SHARE, count_values
from metrics.proportions import wilson
from metrics.registry import COUNTS, METRICS
from metrics.resample import Resampled
from metrics.spec import MIN_GROUP_ROWS, Condition, MetricSpec
from metrics.value import Value

COUNT_DRAWS = 10_000
_GROUP_RATES = (SELECTION_RATE, TRUE_POSITIVE_RATE, FALSE_POSITIVE_RATE, ACCURACY)
_CONDITION_WORDS: dict[Condition, str] = {
    "all": "rows",
    "positive": "rows with label 1",
    "negative": "rows with label 0",
}


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One statistic of one group; rates with Wilson's 95 % interval, counts without (nan)."""

    group: str
    statistic: str  # count, positives, or the name of a rate
    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Scores:
    """All fixed metrics of one prediction.

    Attributes
    ----------
    values : dict of id -> Value
        In the order of the registry. A group below ``MIN_GROUP_ROWS`` is left out of gaps; the reason then names it
        although the status is "ok".
    groups : list of GroupRow
        All groups, whatever their size.
    degenerate : bool
        The prediction is (nearly) constant: its gaps are small because it does not tell rows apart.
    """

    values: dict[str, Value]
    groups: list[GroupRow]
    degenerate: bool


@dataclass(frozen=True)
class ScoredGroups:
    """What all predictions of the same rows share.

    Attributes
    ----------
    names : tuple of str
    sizes : [g, 2] float64
        Rows per (group, label).
    permutations : int
        Shuffles of the groups.
    seed : int
    """

    names: tuple[str, ...]
    sizes: Tensor
    permutations: int
    seed: int


def drawn_tables(table: Tensor, seed: int) -> Tensor:
    """[B, g, 2, 2] resampled count tables of one prediction's table [1, g, 2, 2]."""
    return resample_counts(table, COUNT_DRAWS, numpy_generator(seed, "counts"))[0]


def count_metrics(table: Tensor, tables: Tensor, rows: ScoredGroups, *, is_constant: bool) -> dict[str, Resampled]:
    """Metrics of counts of a table [1, g, 2, 2], from resampled (:func:`drawn_tables`) and shuffled ones.

    The rates of a constant prediction are 0 or 1 by what it is, not by what the rows happen to show.
    """
    exact = {} if is_constant else {id: COUNTS[id].statistic.exact(table[0], MIN_GROUP_ROWS) for id in COUNT_METRICS}
    estimate = count_values(table)
    shuffled = permute_counts(table, rows.permutations, numpy_generator(rows.seed, "shuffled counts"))[0]
    drawn = count_values(tables, rows.sizes)
    null = count_values(shuffled, rows.sizes)
    deviations = count_deviations(tables, table[0])
    return {
        id: resampled(
            id,
            float(estimate[id]),
            drawn[id],
            rows,
            null[id] if METRICS[id].null else None,
            deviations.get(id),
            exact.get(id),
        )
        for id in COUNT_METRICS
    }


def resampled(
    id: str,
    estimate: float,
    draws: Tensor,
    rows: ScoredGroups,
    null: Tensor | None = None,
    deviations: Tensor | None = None,
    exact: tuple[float, float] | None = None,
) -> Resampled:
    """A metric of counts; not estimable, with the sizes of the groups as reason, where the estimate is nan."""
    if not math.isnan(estimate):
        return Resampled(estimate, draws, null, deviations=deviations, exact=exact)
    reason = _too_few(METRICS[id], rows) or COUNTS[id].undefined
    return Resampled(estimate, status="not_estimable", reason=reason)


def _too_few(metric: MetricSpec, rows: ScoredGroups) -> str:
    """Groups' rows by the first condition that leaves fewer than two groups; empty if there are rows enough."""
    for condition in metric.conditions:
        sizes = _relevant(condition, rows.sizes)
        if int((sizes >= MIN_GROUP_ROWS).sum()) < 2:
            listed = ", ".join(f"{name} {int(size)}" for name, size in zip(rows.names, sizes, strict=True))
            words = _CONDITION_WORDS[condition]
            return f"needs two groups with at least {MIN_GROUP_ROWS} {words}; there are {listed}"
    return ""


def _left_out(metric: MetricSpec, rows: ScoredGroups) -> str:
    """Which groups a gap leaves out; empty if none."""
    notes = []
    for condition in metric.conditions:
        sizes = _relevant(condition, rows.sizes)
        small = [f"{name} {int(size)}" for name, size in zip(rows.names, sizes, strict=True) if size < MIN_GROUP_ROWS]
        if small:
            notes.append(f"left out (fewer than {MIN_GROUP_ROWS} {_CONDITION_WORDS[condition]}): {', '.join(small)}")
    return "; ".join(notes)


def _relevant(condition: Condition, sizes: Tensor) -> Tensor:
    """[g] rows of each group that satisfy a condition on the label."""
    return sizes.sum(-1) if condition == "all" else sizes[:, int(condition == "positive")]


def final_value(metric: MetricSpec, part: Resampled, rows: ScoredGroups, constant: str) -> Value:
    """The final value: interval, null, notes, and the degenerate flag on result fairness and composites."""
    value = part.value(metric.bias, metric.range)
    if value.status != "ok":
        return value
    if constant and metric.kind in ("result", "composite"):
        return replace(value, status="degenerate", reason=constant)
    return replace(value, reason=value.reason or _left_out(metric, rows))


def constant_words(probability: float) -> str:
    """What is said of a prediction that is the same for all rows."""
    return f"every row has the probability {probability:.4g}"


def degenerate_words(positive: float) -> str:
    """Why a prediction with this share of rows predicted 1 counts as degenerate; empty if it does not."""
    if min(positive, 1 - positive) >= DEGENERATE_SHARE:
        return ""
    return f"{max(positive, 1 - positive):.2%} of the rows are predicted {int(positive > 0.5)}"


def group_rows(table: Tensor, names: tuple[str, ...]) -> list[GroupRow]:
    """Sizes and rates of every group from one count table [g, 2, 2]."""
    rows = []
    for name, counts in zip(names, table, strict=True):
        positives = counts[1].sum()
        rows += [
            GroupRow(name, "count", float(counts.sum()), math.nan, math.nan),
            GroupRow(name, "positives", float(positives), math.nan, math.nan),
        ]
        rows += [_rate_row(name, rate, counts) for rate in _GROUP_RATES]
    return rows


def _rate_row(group: str, rate: Rate, counts: Tensor) -> GroupRow:
    """A rate of one group from its counts [2, 2]; nan without rows."""
    n = float(rate.rows(counts))
    if n == 0:
        return GroupRow(group, rate.name, math.nan, math.nan, math.nan)
    hits = float(rate.hits_of(counts))
    return GroupRow(group, rate.name, hits / n, *wilson(hits, n))
