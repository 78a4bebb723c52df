"""Where the spread of a number comes from: other splits of the data, or another training seed on the same split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.stats.statistics import Floats


@dataclass(frozen=True)
class Spread:
    """Standard deviations of one metric of one method, over tasks the root of the mean variance.

    Attributes
    ----------
    split : float
        Between splits, training noise taken out; 0 where the estimate of the variance is negative.
    seed : float
        Between seeds within a split.
    tasks : int
        Tasks that gave an estimate.
    truncated : int
        Tasks on which the variance between splits was negative and counts as 0.
    """

    split: float
    seed: float
    tasks: int
    truncated: int


def components(splits: Sequence[Floats]) -> tuple[float, float]:
    """Variances (between splits, within splits) of the one-way random-effects model, by the ANOVA estimator.

    y_js = μ + a_j + e_js with split effects a_j and seed noise e_js. MS_within estimates Var(e), MS_between estimates
    Var(e) + n₀ Var(a) with n₀ = (N − Σ n_j² / N) / (J − 1) for unequal numbers of seeds (Searle, Casella & McCulloch,
    *Variance Components*, 1992, ch. 3). The first may come out negative; it is returned as it is.

    Parameters
    ----------
    splits : sequence of [n_j] float
        Values of the seeds of each split, without nan.

    Returns
    -------
    (float, float)
        nan both unless there are two splits and more values than splits.
    """
    known = [row for row in splits if len(row)]
    groups, total = len(known), sum(map(len, known))
    if groups < 2 or total <= groups:
        return math.nan, math.nan
    sizes = np.array([len(row) for row in known], dtype=np.float64)
    means = np.array([row.mean() for row in known])
    mean = float(np.concatenate(known).mean())
    within = sum(float(((row - m) ** 2).sum()) for row, m in zip(known, means, strict=True)) / (total - groups)
    between = float((sizes * (means - mean) ** 2).sum()) / (groups - 1)
    size = (total - float((sizes**2).sum()) / total) / (groups - 1)
    return (between - within) / size, within


def spreads(rows: pd.DataFrame, metrics: Sequence[str]) -> dict[tuple[str, str], Spread]:
    """(method, metric) → spread by splits and by seeds, over all tasks.

    Parameters
    ----------
    rows : DataFrame
        Test rows of the result table.
    metrics : sequence of str

    Returns
    -------
    dict
        Without the methods that have one seed only: their spread by seeds is not known.
    """
    part = rows[rows["metric"].isin(metrics) & rows["estimate"].notna()]
    if part["seed"].nunique() < 2:
        return {}
    columns = ["method", "metric", "task", "protocol", "use_sensitive", "split", "estimate"]
    cells: dict[tuple[str, ...], dict[int, list[float]]] = {}
    for *key, split, estimate in part[columns].itertuples(index=False, name=None):
        cells.setdefault(tuple(map(str, key)), {}).setdefault(split, []).append(estimate)
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for (method, metric, *_), splits in cells.items():
        both = components([np.array(values) for values in splits.values()])
        if not math.isnan(both[0]):
            found.setdefault((method, metric), []).append(both)
    return {key: _mean(pairs) for key, pairs in found.items()}


def _mean(pairs: Sequence[tuple[float, float]]) -> Spread:
    between = [split for split, _ in pairs]
    return Spread(
        split=math.sqrt(float(np.mean([max(v, 0.0) for v in between]))),
        seed=math.sqrt(float(np.mean([within for _, within in pairs]))),
        tasks=len(pairs),
        truncated=sum(v < 0 for v in between),
    )
