"""One metric of one method on one task: over splits, with what is known within a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.stats.null import null_of_mean
from reports.stats.statistics import Floats, level_interval
from reports.table import LOST

Key = tuple[str, str]
"""(method, metric)."""


@dataclass(frozen=True)
class Estimate:
    """One metric of one method on one task, over splits.

    Attributes
    ----------
    mean, low, high : float
        Mean over splits with the corrected interval over splits (nan with one split, and where all splits agree:
        :func:`reports.stats.statistics.level_interval`).
    inner_low, inner_high : float
        Sampling interval within a split, its ends averaged over splits.
    null_p95 : float
        95th percentile of the mean over splits when groups are shuffled (:mod:`reports.stats.null`); nan when the
        metric has none.
    known, asked : int
        Splits with a number; splits in the table.
    degenerate : int
        Splits on which the prediction is (nearly) constant.
    reasons : tuple of str
        Why, for splits that are not estimable or failed.
    notes : tuple of str
        What else is said of splits that have a number, such as groups that were left out.
    lost : tuple of (str, int)
        "failed" and "timeout", each with the number of splits that were not computed for that reason.
    """

    mean: float
    low: float
    high: float
    inner_low: float
    inner_high: float
    null_p95: float
    known: int
    asked: int
    degenerate: int
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    lost: tuple[tuple[str, int], ...] = ()

    @property
    def half(self) -> float:
        """Half the length of the interval over splits."""
        return (self.high - self.low) / 2

    @property
    def within_null(self) -> bool:
        """Whether shuffled groups give as much: not distinguishable from 0."""
        return abs(self.mean) <= self.null_p95  # False when either is nan

    @property
    def mostly_degenerate(self) -> bool:
        """Whether the prediction is (nearly) constant on half of the splits or more (the flag is on gaps)."""
        return 0 < self.asked <= 2 * self.degenerate


def values_by_split(rows: pd.DataFrame, splits: Sequence[int]) -> dict[Key, Floats]:
    """(method, metric) → [J] mean over training seeds; splits, not seeds, are the unit of every interval."""
    table = (
        rows.groupby(["method", "metric", "split"])["estimate"].mean().unstack("split").reindex(columns=list(splits))
    )
    return dict(zip(table.index, table.to_numpy(dtype=np.float64), strict=True))


def estimates(rows: pd.DataFrame, values: dict[Key, Floats], asked: int) -> dict[Key, Estimate]:
    """(method, metric) → Estimate.

    Parameters
    ----------
    rows : DataFrame
        Rows of one task and one part.
    values : dict
        Their values by split: see :func:`values_by_split`.
    asked : int
        Splits in the table.
    """
    keys = ["method", "metric"]
    means = rows.groupby(keys)[["low", "high", "null_p95", "null_mean", "null_sd"]].mean()
    inner = dict(zip(means.index, means.to_numpy(), strict=True))
    degenerate = rows[rows["status"] == "degenerate"].groupby(keys)["split"].nunique().to_dict()
    said = rows[rows["reason"] != ""].groupby([*keys, rows["status"].isin(["ok", "degenerate"])])["reason"]
    words = {key: tuple(reasons) for key, reasons in said.unique().items()}
    gone = rows[rows["status"].isin(LOST)].groupby([*keys, "status"])["split"].nunique()
    lost: dict[Key, list[tuple[str, int]]] = {}
    for (method, metric, status), splits in zip(gone.index.to_list(), gone.to_list(), strict=True):
        lost.setdefault((method, metric), []).append((status, splits))
    return {
        key: _estimate(
            values[key],
            inner[key],
            asked,
            degenerate.get(key, 0),
            words.get((*key, False), ()),
            words.get((*key, True), ()),
            tuple(lost.get(key, ())),
        )
        for key in values
    }


def _estimate(
    values: Floats,
    inner: Floats,
    asked: int,
    degenerate: int,
    reasons: tuple[str, ...],
    notes: tuple[str, ...],
    lost: tuple[tuple[str, int], ...],
) -> Estimate:
    over_splits = level_interval(values)
    low, high, *null = (float(v) for v in inner)
    null_p95 = null_of_mean(null[0], null[1], null[2], over_splits.n)
    return Estimate(
        over_splits.mean,
        over_splits.low,
        over_splits.high,
        low,
        high,
        null_p95,
        over_splits.n,
        asked,
        degenerate,
        reasons,
        notes,
        lost,
    )
