"""Point values of the fixed metrics for many prediction vectors at once: no interval, no null, no status.

Training and tuning call this every few epochs for all lanes; :mod:`metrics.score` adds the rest for final results.
Undefined values are nan: see :func:`point_values`.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from metrics.auc import auc
from metrics.calibration import brier, ece
from metrics.composites import utility
from metrics.counts.group_rates import rates_of_counts
from metrics.counts.tables import count_table
from metrics.registry import COUNTS, METRICS

COUNT_METRICS = tuple(id for id in METRICS if id in COUNTS)
POINT_METRICS = (*COUNT_METRICS, "auc@1", "utility@1", "brier@1", "ece@1")


DEGENERATE_SHARE = 0.005
"""A prediction is degenerate if fewer than this share of its rows is in the rarer predicted class."""


def rarer_share(probability: Tensor) -> Tensor:
    """[K] float64 share of rows in the rarer predicted class of each of K vectors [K, n]."""
    positive = (probability > 0.5).to(torch.float64).mean(-1)
    return torch.minimum(positive, 1 - positive)


def count_values(tables: Tensor, sizes: Tensor | None = None) -> dict[str, Tensor]:
    """Every metric that follows from counts, for any number of count tables.

    Parameters
    ----------
    tables : [..., g, 2, 2] float64
        Rows per (group, label, prediction), as :func:`metrics.counts.tables.count_table` gives them.
    sizes : [..., g, 2] or None
        Rows per (group, label) of the data, for resampled tables: all draws then speak of the same groups. Default:
        those of the tables themselves. A group with fewer than ``MIN_GROUP_ROWS`` relevant rows (of the label that a
        rate conditions on) is left out of gaps, ratios and minima (:func:`metrics.counts.group_rates.rates_of_counts`).

    Returns
    -------
    dict of id -> [...] float64 with the ids ``COUNT_METRICS``; nan where not estimable (fewer than two groups left;
    no rows; F1 without a positive label).
    """
    rates = rates_of_counts(tables, sizes)
    return {id: COUNTS[id].statistic.value(rates) for id in COUNT_METRICS}


def point_values(
    probability: Tensor,
    labels: Tensor,
    groups: Tensor,
    n_groups: int,
    *,
    metrics: Collection[str] | None = None,
) -> dict[str, Tensor]:
    """Point values of K prediction vectors on the same n rows.

    Parameters
    ----------
    probability : [K, n] float32 or float64
        Probabilities of class 1 in [0, 1]; a row is predicted 1 iff its probability exceeds 0.5.
    labels, groups : [n] int64
        Labels in {0, 1}; group ids in 0..n_groups-1.
    metrics : collection of str or None
        Ids to compute, a subset of ``POINT_METRICS``; None: all. AUC needs a sort and ECE a pass over the rows: name
        only what is used.

    Returns
    -------
    dict of id -> [K] float64. nan where not estimable (one class: auc, utility; fewer than two groups with
    ``MIN_GROUP_ROWS`` relevant rows: gaps, ratios, minima) and for every metric of a vector that contains nan (a
    diverged lane is never fair).

    Raises
    ------
    ValueError
        If an id is unknown, shapes disagree, or a probability lies outside [0, 1].
    """
    wanted = tuple(POINT_METRICS if metrics is None else metrics)
    unknown = sorted(set(wanted) - set(POINT_METRICS))
    if unknown:
        raise ValueError(f"no point value for {unknown}; point values exist for {', '.join(POINT_METRICS)}")
    broken = _broken(probability, labels, groups)
    if bool(broken.any()):
        probability = torch.where(broken[:, None], 0.0, probability)
    values = _values(probability, labels, groups, n_groups, set(wanted))
    return {name: torch.where(broken, torch.nan, values[name]) for name in wanted}


def _values(probability: Tensor, labels: Tensor, groups: Tensor, n_groups: int, wanted: set[str]) -> dict[str, Tensor]:
    values: dict[str, Tensor] = {}
    if wanted & {*COUNT_METRICS, "utility@1"}:
        values |= count_values(count_table(probability, labels, groups, n_groups))
    if wanted & {"auc@1", "utility@1"}:
        values["auc@1"] = auc(probability, labels)
    if "utility@1" in wanted:
        values["utility@1"] = utility(values["acc@1"], values["f1@1"], values["auc@1"])
    if "brier@1" in wanted:
        values["brier@1"] = brier(probability, labels)
    if "ece@1" in wanted:
        values["ece@1"] = ece(probability, labels)
    return values


def _broken(probability: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    """[K] bool, vectors with a nan; raises on wrong shapes and on probabilities outside [0, 1]."""
    if probability.ndim != 2 or labels.shape != probability.shape[1:] or groups.shape != labels.shape:
        shapes = [tuple(t.shape) for t in (probability, labels, groups)]
        raise ValueError(f"probability, labels and groups have shapes {shapes}; expected [K, n], [n] and [n]")
    if labels.numel() == 0:
        raise ValueError("there are no rows to score; pass at least one row")
    low, high = torch.aminmax(probability, dim=1)
    if bool((low < 0).any()) or bool((high > 1).any()):
        raise ValueError(
            f"probabilities reach from {float(low.min()):.4g} to {float(high.max()):.4g}, outside [0, 1]; "
            "pass probabilities of class 1, not logits: torch.sigmoid(margin)"
        )
    return torch.isnan(low)
