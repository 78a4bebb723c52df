"""How much a text expert's numbers move when the same rows are written in other words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from metrics.registry import METRICS
from reports.method import Method
from reports.names import HEADLINE, OUTCOME
from reports.stats.statistics import Interval, level_interval


@dataclass(frozen=True)
class WordingSpread:
    """One metric of one text expert under every template.

    Attributes
    ----------
    values : dict
        Template → mean over splits, nan where there is none.
    spread : Interval
        Largest minus smallest value over the templates, taken within each split, and averaged over splits.
    """

    method: Method
    metric: str
    values: dict[str, float]
    spread: Interval


@dataclass(frozen=True)
class Wording:
    """Sensitivity to the wording on one task."""

    methods: tuple[Method, ...]
    metrics: tuple[str, ...]
    templates: tuple[str, ...]
    spreads: dict[tuple[str, str], WordingSpread]
    """(method, metric) → spread."""
    part: str
    """"test", or "validation" where the table has no test rows."""

    def get(self, method: str, metric: str) -> WordingSpread | None:
        """Spread of a metric of a method, None when the table has no row for it."""
        return self.spreads.get((method, metric))


def wording(rows: pd.DataFrame, methods: Sequence[Method], trained: str = "") -> Wording | None:
    """Spreads of one task, None when it has none.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``templates.csv`` of one task.
    methods : sequence of Method
        Methods of the task, in order.
    trained : str
        The template that experts were trained on; it stands first.
    """
    if rows.empty:
        return None
    part_told = "test" if (rows["part"] == "test").any() else "validation"
    rows = rows[rows["part"] == part_told]
    templates = tuple(sorted(rows["template"].unique(), key=lambda t: (t != trained, t)))
    present = set(rows["metric"])
    order = list(dict.fromkeys([*HEADLINE, *OUTCOME, *METRICS, *sorted(present)]))
    metrics = tuple(m for m in order if m in present)
    table = rows.groupby(["method", "metric", "split", "template"])["estimate"].mean().unstack("template")
    by_id = {m.id: m for m in methods}
    spreads = {
        (str(method), str(metric)): _spread(by_id[method], str(metric), part.reindex(columns=list(templates)))
        for (method, metric), part in table.groupby(level=["method", "metric"])
        if method in by_id
    }
    have = {method for method, _ in spreads}
    return Wording(tuple(m for m in methods if m.id in have), metrics, templates, spreads, part_told)


def _spread(method: Method, metric: str, table: pd.DataFrame) -> WordingSpread:
    """``table``: splits × templates."""
    whole = table.notna().all(axis=1) & (table.shape[1] > 1)  # of fewer templates it would be another quantity
    spread = (table.max(axis=1) - table.min(axis=1)).where(whole)
    means = {str(name): float(value) for name, value in table.mean().items()}
    return WordingSpread(method, metric, means, level_interval(spread.to_numpy(dtype=np.float64)))
