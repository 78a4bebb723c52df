"""Normalised hypervolume of utility and result fairness: how much of the way to "perfect and fair" a method covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from reports.names import DISPARITY, UTILITY
from reports.stats.scores import TaskScores
from reports.stats.statistics import Floats

VERSION = "hv@1"
REFERENCE = ("constant", "utility")
"""Methods whose test values are the reference: utility of the first, result gap of the second."""

SMALLEST_GAP = 0.01
"""With a smaller unmitigated gap there is nothing to mitigate, and the normalised number would be noise."""


def hypervolume(points: Floats, reference: tuple[float, float]) -> float:
    """Share of the rectangle between ``reference`` and the perfect point that ``points`` dominate: ``hv@1``.

    Axes are u = utility@1 (larger is better) and f = 1 − fair_res@1 (larger is better); the perfect point is (1, 1).
    The reference is frozen by the run itself and is the same for all methods of a scenario: (u₀, 1 − g₀), where u₀ is
    the test utility of the constant predictor (what one gets for knowing nothing) and g₀ the test gap of the tabular
    utility expert (what one gets for not caring). The value is the area of the union of the rectangles from the
    reference to each point, divided by (1 − u₀) · g₀. It is 0 when no point is better than the reference on both axes,
    1 for a perfect point, and never falls when a point is added or improved (Zitzler & Thiele 1999). Exact in two
    dimensions: a sweep by falling u.

    Parameters
    ----------
    points : [K, 2] float
        (utility, fair_res) of each point, the gap as it is; rows with nan are left out.
    reference : (float, float)
        (u₀, g₀).

    Returns
    -------
    float
        In [0, 1]; nan when u₀ ≥ 1, g₀ < ``SMALLEST_GAP``, the reference is nan, or no point is known.
    """
    floor, gap = reference
    known = points[~np.isnan(points).any(axis=1)]
    if not (floor < 1 and gap >= SMALLEST_GAP) or not len(known):
        return float("nan")
    width = np.clip((known[:, 0] - floor) / (1 - floor), 0.0, 1.0)
    height = np.clip(1 - known[:, 1] / gap, 0.0, 1.0)
    order = np.argsort(-width, kind="stable")
    tops = np.maximum.accumulate(height[order])
    right = width[order]
    return float((tops * (right - np.append(right[1:], 0.0))).sum())


def by_method(scores: TaskScores, levels: pd.DataFrame) -> dict[str, Floats]:
    """Method → [J] hypervolume on each split of a task; nan where it is not defined.

    The points of a method are its headline point and what it reaches at each allowed gap with its own trained
    configurations (rows of the table ``levels`` with variant "plain"): all were chosen on validation rows, and all
    count at their test values.

    Parameters
    ----------
    scores : TaskScores
    levels : DataFrame
        Rows of the table ``levels`` of this task.
    """
    missing, reference = np.full(len(scores.splits), np.nan), reference_values(scores, (DISPARITY,))
    plain = _points(levels)
    found = {}
    for method in scores.methods:
        own = [scores.values.get((method.id, metric), missing) for metric in (UTILITY, DISPARITY)]
        if np.isnan(own[0]).all():
            continue
        found[method.id] = np.array(
            [
                _on_split(
                    np.array([own[0][j], own[1][j]]),
                    plain.get((method.id, split), ()),
                    (reference[j, 0], reference[j, 1]),
                )
                for j, split in enumerate(scores.splits)
            ]
        )
    return found


def reference_values(scores: TaskScores, gaps: Sequence[str]) -> Floats:
    """[J, 1 + g] reference of each split: the floor of utility, then the most of each gap; nan where it is missing."""
    missing = np.full(len(scores.splits), np.nan)
    floor = scores.values.get((REFERENCE[0], UTILITY), missing)
    found: Floats = np.column_stack([floor, *(scores.values.get((REFERENCE[1], gap), missing) for gap in gaps)])
    return found


def _on_split(headline: Floats, others: Sequence[tuple[float, float]], reference: tuple[float, float]) -> float:
    # without its headline point the method failed on this split
    if np.isnan(headline).any():
        return float("nan")
    return hypervolume(np.vstack([headline, *(np.array(point) for point in others)]), reference)


def _points(levels: pd.DataFrame) -> Mapping[tuple[str, int], list[tuple[float, float]]]:
    own = (levels["variant"] == "plain") & (levels["gap"] == DISPARITY)
    rows = levels[own & levels["metric"].isin([UTILITY, DISPARITY])]
    if rows.empty:
        return {}
    table = rows.pivot_table(index=["method", "split", "seed", "level"], columns="metric", values="estimate")
    points: dict[tuple[str, int], list[tuple[float, float]]] = {}
    pairs = table.reindex(columns=[UTILITY, DISPARITY]).to_numpy(dtype=np.float64)
    for (method, split, _, _), (utility, gap) in zip(table.index, pairs, strict=True):
        points.setdefault((str(method), int(split)), []).append((float(utility), float(gap)))
    return points
