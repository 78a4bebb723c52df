"""Budget curves: what a tuned method would have reached with fewer trials.

Of its K trained configurations, k are drawn without replacement; the one with the best validation utility is kept, and
its test utility is told. The expectation over all draws is exact: the i-th worst of K configurations is the best of k
with probability C(i − 1, k − 1) / C(K, k) (the idea: Dodge et al., "Show Your Work: Improved Reporting of Experimental
Results", EMNLP 2019; here drawn without replacement, and told by the value on test rows).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.method import Method
from reports.stats.scores import TaskScores
from reports.stats.statistics import Floats, Interval, corrected_interval
from reports.table import select


@dataclass(frozen=True)
class Curve:
    """Expected test utility of the best of k trials, of one method on one task.

    ``values`` [J, K]: by split and k = 1 … K; nan beyond the trials of a split.
    """

    method: Method
    values: Floats

    @property
    def mean(self) -> Floats:
        """[K] mean over the splits that have so many trials."""
        known = ~np.isnan(self.values)
        total = np.where(known, self.values, 0.0).sum(0)
        mean: Floats = np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan)
        return mean

    @property
    def trials(self) -> int:
        """Trials of the split that has most."""
        return int(self.values.shape[1])

    def at(self, k: int) -> Interval:
        """Mean and corrected interval over splits with k trials (all, if there are fewer)."""
        return corrected_interval(self.values[:, min(k, self.trials) - 1])


@dataclass(frozen=True)
class Budget:
    """Task → curves, in the order of the suite."""

    curves: dict[str, tuple[Curve, ...]]

    @property
    def most(self) -> int:
        """Most trials that any method has."""
        return max(curve.trials for own in self.curves.values() for curve in own)

    @property
    def shown(self) -> list[int]:
        """Numbers of trials in the table: 1, 2, 5, 10, 20, 50, …, and all."""
        steps = [factor * 10**power for power in range(4) for factor in (1, 2, 5)]
        return [*(k for k in steps if k < self.most), self.most]


def best_of(validation: Floats, test: Floats, usable: NDArray[np.bool_]) -> Floats:
    """[K] expected test value of the best of k = 1 … K configurations by validation, drawn without replacement.

    Parameters
    ----------
    validation, test : [K] float
    usable : [K] bool
        False: failed, or nearly constant. Such a configuration is never kept; a draw of nothing else does not count.

    Returns
    -------
    [K] float; nan everywhere if nothing is usable. Of equal validation values the earlier configuration is kept.
    """
    total = len(validation)
    score = np.where(usable, validation, -np.inf)
    order = sorted(range(total), key=lambda i: (score[i], -i))  # worst first; of equals the earlier is the better
    n_bad = int(total - np.count_nonzero(usable))
    if n_bad == total:
        return np.full(total, np.nan)
    ranked = test[order]
    expected = np.empty(total)
    for k in range(1, total + 1):
        weight = np.array([math.comb(i, k - 1) if i >= n_bad else 0 for i in range(total)], dtype=object)
        share = np.array([w / (math.comb(total, k) - math.comb(n_bad, k)) for w in weight], dtype=np.float64)
        expected[k - 1] = float(share[n_bad:] @ ranked[n_bad:])
    return expected


def budget(table: pd.DataFrame, methods: Sequence[Method], scenarios: Sequence[TaskScores]) -> Budget | None:
    """Budget curves of every tuned method; None when the table has no rows.

    Parameters
    ----------
    table : DataFrame
        The table "trials": see ``reports.table.FURTHER``.
    methods : sequence of Method
    scenarios : sequence
        Tasks of the report.
    """
    curves: dict[str, tuple[Curve, ...]] = {}
    for scores in scenarios:
        here = select(table, **scores.where)
        own = tuple(_curve(m, rows) for m in methods if len(rows := here[here["method"] == m.id]))
        own = tuple(curve for curve in own if not np.isnan(curve.values).all())
        if own:
            curves[scores.name] = own
    return Budget(curves) if curves else None


def _curve(method: Method, rows: pd.DataFrame) -> Curve:
    parts = [own.sort_values("trial") for _, own in rows.groupby("split")]
    values = np.full((len(parts), max(map(len, parts))), np.nan)
    for line, own in zip(values, parts, strict=True):
        validation, test = (own[name].to_numpy(dtype=np.float64) for name in ("utility_validation", "utility_test"))
        usable = own["state"].isin(("ok", "pruned")).to_numpy() & ~np.isnan(validation) & ~np.isnan(test)
        line[: len(own)] = best_of(validation, test, usable)
    return Curve(method, values)
