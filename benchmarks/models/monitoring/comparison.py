"""Each metric on new rows against what was promised: the difference of two estimates, with its own interval.

Two intervals may overlap although the difference is sure, so they are never compared by looking at their ends. Both
sets of rows are samples: the difference has the spread of both. Metrics of counts follow from the two count tables,
whose rates are drawn from their posterior (Jeffreys' prior: a rate of 0 in 20 rows is not known to be 0); other metrics
have the standard error of their interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy import special
from torch import Tensor

from benchmarks.models.promise import Promise
from foundation.seeding import numpy_generator
from metrics.counts.group_rates import rates_of_counts
from metrics.holm import holm
from metrics.points import COUNT_METRICS, count_values
from metrics.proportions import Z
from metrics.registry import COUNTS, METRICS
from metrics.thresholds import keeps
from metrics.value import Value

Verdict = Literal["inside", "outside", "cannot tell"]

DRAWS = 10_000
LEVEL = 0.05
USUAL = ("acc@1", "auc@1", "worst_acc@1", "dp@1", "eopp@1", "eodds@1", "fair_res@1", "ece@1")
"""Metrics that are judged when none are named, beside the one that was bounded."""
BLUNT = 2.0
"""New rows whose difference has more than so many standard errors of the promise cannot tell: they are fewer than a
third of the rows that it rests on."""


@dataclass(frozen=True)
class Compared:
    """One metric, then and now.

    Attributes
    ----------
    metric : str
    promised, now : Value
    change, low, high : float
        Now minus promised, and its 95 % interval.
    p : float
        Of no change, Holm-corrected over all metrics that are judged; nan where it cannot be tested.
    verdict : {"inside", "outside", "cannot tell"}
        "outside": the change is sure. "inside": no change is seen, and the new rows are enough to see one.
    worse : bool
        Whether it is outside on the bad side.
    reason : str
        Why nothing can be told.
    """

    metric: str
    promised: Value
    now: Value
    change: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    verdict: Verdict = "cannot tell"
    worse: bool = False
    reason: str = ""


@dataclass(frozen=True)
class LimitNow:
    """Whether the demanded limit holds for what the new rows come from.

    Attributes
    ----------
    metric, limit
        What was demanded.
    now : Value
    probability : float
        Posterior probability that it holds; nan where the metric does not follow from counts.
    """

    metric: str
    limit: float
    now: Value
    probability: float

    @property
    def broken(self) -> bool:
        """Whether it is broken for sure."""
        return self.probability < LEVEL


@dataclass(frozen=True)
class _Spread:
    """What can be said of a difference before the tests are corrected together."""

    change: float
    low: float
    high: float
    error: float
    promised_error: float
    reason: str = ""

    @property
    def p(self) -> float:
        if math.isnan(self.error) or math.isnan(self.change):
            return math.nan
        if self.error == 0:
            return 1.0 if self.change == 0 else 0.0
        return float(2 * special.ndtr(-abs(self.change) / self.error))


def compare(
    promise: Promise,
    now: dict[str, Value],
    table: Tensor,
    metrics: Sequence[str] = (),
    *,
    tolerance: float | None = None,
    seed: int = 0,
) -> list[Compared]:
    """Judge metrics of new rows.

    Parameters
    ----------
    promise : Promise
    now : mapping of metric id -> Value
        Scores of the new rows.
    table : [g, 2, 2] float64
        Their rows per (group, label, decision), groups as the promise orders them.
    metrics : sequence of str
        Default: ``USUAL`` and the metric that was bounded.
    tolerance : float, optional
        Largest change that does not matter: "inside" is then a change whose whole interval is within it.
    seed : int

    Returns
    -------
    list of Compared
    """
    judged = list(dict.fromkeys(metrics or (*USUAL, *(promise.limit or ())[:1])))
    spreads = _spreads(promise, now, table, judged, seed)
    adjusted = holm([spreads[metric].p for metric in judged])
    return [
        _judged(metric, promise, now, spreads[metric], p, tolerance) for metric, p in zip(judged, adjusted, strict=True)
    ]


def limit_now(promise: Promise, now: dict[str, Value], table: Tensor, seed: int = 0) -> LimitNow | None:
    """Whether the demanded limit holds now; None where nothing was demanded."""
    if promise.limit is None:
        return None
    metric, limit = promise.limit
    value = now.get(metric, Value.not_estimable("it is not measured on new rows"))
    probability = math.nan
    if metric in COUNT_METRICS and value.status != "not_estimable":
        drawn = count_values(posterior_tables(table, DRAWS, numpy_generator(seed, "limit now")), table.sum(-1))[metric]
        probability = float(keeps(drawn, limit, metric).double().mean())
    return LimitNow(metric, limit, value, probability)


def posterior_tables(table: Tensor, draws: int, generator: np.random.Generator) -> Tensor:
    """[B, g, 2, 2] count tables as the rows' source may give them: rates of each cell drawn from Jeffreys' posterior.

    Parameters
    ----------
    table : [g, 2, 2] rows per (group, label, decision)
    draws : int
    """
    cells = table.reshape(-1, 2).numpy()
    totals = cells.sum(1)
    margin = generator.multinomial(int(totals.sum()), totals / totals.sum(), size=draws)
    share = generator.beta(cells[:, 1] + 0.5, cells[:, 0] + 0.5, size=(draws, len(cells)))
    drawn = np.stack((margin * (1 - share), margin * share), -1)
    return torch.from_numpy(drawn).reshape(draws, *table.shape)


def _spreads(
    promise: Promise, now: dict[str, Value], table: Tensor, metrics: Sequence[str], seed: int
) -> dict[str, _Spread]:
    before = promise.counts()
    drawn = []
    for side, counts in (("promised", before), ("now", table)):
        tables = posterior_tables(counts, DRAWS, numpy_generator(seed, "monitor", side))
        drawn.append(count_values(tables, counts.sum(-1)))
    found = {}
    for metric in metrics:
        values = promise.metrics.get(metric), now.get(metric)
        reason = _incomparable(metric, values, (before, table), tuple(promise.groups))
        if reason or values[0] is None or values[1] is None:
            found[metric] = _unknown(reason)
        elif metric in COUNT_METRICS:
            found[metric] = _of_draws(values[0], values[1], drawn[0][metric], drawn[1][metric])
        else:
            found[metric] = _of_intervals(values[0], values[1])
    return found


def _unknown(reason: str) -> _Spread:
    return _Spread(math.nan, math.nan, math.nan, math.nan, math.nan, reason)


def _incomparable(
    metric: str, values: tuple[Value | None, Value | None], tables: tuple[Tensor, Tensor], names: tuple[str, ...]
) -> str:
    """Why two values do not speak of the same thing; empty if they do."""
    for value, when in zip(values, ("among what was promised", "on the new rows"), strict=True):
        if value is None:
            return f"it is not {when}"
        if value.status == "not_estimable":
            return f"not estimable {when}: {value.reason}"
    if metric in COUNTS and COUNTS[metric].statistic.by_group:
        for rate in COUNTS[metric].statistic.rates:
            then, now = (~rates_of_counts(table)[rate].isnan() for table in tables)
            changed = [name for name, a, b in zip(names, then.tolist(), now.tolist(), strict=True) if a != b]
            if changed:
                return f"too few rows of {', '.join(changed)}: other groups are compared than were promised"
    return ""


def _of_draws(promised: Value, now: Value, before: Tensor, after: Tensor) -> _Spread:
    """Deviations of the drawn differences from their mean, around what was observed: drawing pushes gaps up."""
    known = ~(before.isnan() | after.isnan())
    if int(known.sum()) < DRAWS // 2:
        return _unknown("most draws have too few rows of a group")
    before, after = before[known], after[known]
    difference = after - before
    change, deviations = now.estimate - promised.estimate, difference - difference.mean()
    low, high = (float(deviations.quantile(q)) for q in (0.025, 0.975))
    return _Spread(change, change + low, change + high, float(deviations.std()), float(before.std()))


def _of_intervals(promised: Value, now: Value) -> _Spread:
    errors = [(value.high - value.low) / (2 * Z) for value in (promised, now)]
    if not all(map(math.isfinite, errors)):
        return _unknown("it has no interval")
    change, error = now.estimate - promised.estimate, math.hypot(*errors)
    return _Spread(change, change - Z * error, change + Z * error, error, errors[0])


def _judged(
    metric: str, promise: Promise, now: dict[str, Value], spread: _Spread, p: float, tolerance: float | None
) -> Compared:
    promised = promise.metrics.get(metric, Value.not_estimable("it was not promised"))
    value = now.get(metric, Value.not_estimable("it is not measured on new rows"))
    verdict, reason = _verdict(spread, p, tolerance)
    higher = METRICS[metric].direction == "higher"
    worse = verdict == "outside" and (spread.change < 0) == higher
    return Compared(metric, promised, value, spread.change, spread.low, spread.high, p, verdict, worse, reason)


def _verdict(spread: _Spread, p: float, tolerance: float | None) -> tuple[Verdict, str]:
    if math.isnan(p):
        return "cannot tell", spread.reason
    if p < LEVEL:
        return "outside", ""
    if tolerance is not None:
        if max(-spread.low, spread.high) <= tolerance:
            return "inside", ""
        return "cannot tell", f"the change may be larger than {tolerance:g}"
    if not spread.low <= 0 <= spread.high:
        return "cannot tell", "a change is likely, but not sure among so many metrics"
    if spread.error > BLUNT * spread.promised_error:
        return "cannot tell", "too few rows: they tell less than a third of what the promise rests on"
    return "inside", ""
