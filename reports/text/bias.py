"""Language bias sets: what base, adapters and mixtures score, with intervals, and what cannot be estimated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from reports.names import BASE, BIAS, BIAS_SETS
from reports.stats.winners import Method

WHOLE = ("macro", "all")
"""Categories that stand for a whole set: the mean over its categories, or all of its items."""


@dataclass(frozen=True)
class BiasValue:
    """One value, averaged over the splits on which the set was scored.

    ``vacuous``: a value that is right but shows nothing, because the answers do not depend on what is measured.
    ``reason``: why there is no value, or why it is vacuous.
    """

    estimate: float
    low: float
    high: float
    items: float
    vacuous: bool
    reason: str

    @property
    def known(self) -> bool:
        """Whether there is a number."""
        return not math.isnan(self.estimate)


Column = tuple[str, str]
"""(set, metric)."""


@dataclass(frozen=True)
class Bias:
    """All bias sets on one task: experts of other tasks are other adapters."""

    methods: tuple[Method, ...]
    columns: tuple[Column, ...]
    """Main columns, of whole sets."""
    categories: dict[str, tuple[tuple[str, str], ...]]
    """Set → its (category, metric) rows, whole set first."""
    values: dict[tuple[str, str, str, str], BiasValue]
    """(method, set, metric, category) → value."""
    splits: int
    whole: dict[str, str]
    """Set → the category that stands for all of it."""

    def get(self, method: str, column: Column, category: str | None = None) -> BiasValue | None:
        """A value; without a category, that of the whole set."""
        name, metric = column
        return self.values.get((method, name, metric, category or self.whole.get(name, "")))

    @property
    def sets(self) -> tuple[tuple[str, int], ...]:
        """Sets of the main columns and how many columns each has."""
        names = [name for name, _ in self.columns]
        return tuple((name, names.count(name)) for name in dict.fromkeys(names))

    @property
    def reasons(self) -> list[str]:
        """Footnotes: why values are absent or vacuous."""
        return sorted({v.reason for v in self.values.values() if v.reason})

    def items(self, name: str) -> tuple[float, float]:
        """Fewest and most items of a whole set, over methods and metrics."""
        whole = [v for (_, s, _, category), v in self.values.items() if s == name and category == self.whole[name]]
        counts = [v.items for v in whole if not math.isnan(v.items)]
        return (min(counts), max(counts)) if counts else (math.nan, math.nan)


def bias(rows: pd.DataFrame, methods: Sequence[Method]) -> Bias | None:
    """Bias sets of one task, None when none was scored.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``bias.csv`` of one task.
    methods : sequence of Method
        Methods of the task, in order; the result has the base first and mixtures last.
    """
    here = tuple(sorted((m for m in methods if (rows["method"] == m.id).any()), key=_place))
    if not here:
        return None
    values = {
        (str(m), str(s), str(k), str(c)): _value(part)
        for (m, s, k, c), part in rows.groupby(["method", "set", "metric", "category"])
    }
    sets = [s for s in (*BIAS_SETS, *sorted(set(rows["set"]) - set(BIAS_SETS))) if (rows["set"] == s).any()]
    whole = {s: next((c for c in WHOLE if any(k[1] == s and k[3] == c for k in values)), "") for s in sets}
    known = {(s, metric) for _, s, metric, category in values if category == whole[s]}
    unnamed = [(s, metric) for s, metric in sorted(known) if s not in BIAS_SETS]
    return Bias(
        methods=here,
        columns=(*(c for c in BIAS if c in known), *unnamed),
        categories={s: _categories(s, whole[s], values) for s in sets},
        values=values,
        splits=int(rows["split"].nunique()),
        whole=whole,
    )


def _place(method: Method) -> tuple[int, int]:
    """Base, adapters, mixtures; within them the order of the suite."""
    return (0 if method.id == BASE else 2 if method.role == "mixture" else 1, method.number)


def _categories(
    name: str, whole: str, values: dict[tuple[str, str, str, str], BiasValue]
) -> tuple[tuple[str, str], ...]:
    found = {(category, metric) for _, s, metric, category in values if s == name}
    order = list(BIAS)

    def key(row: tuple[str, str]) -> tuple[bool, bool, str, int, str]:
        category, metric = row
        place = order.index((name, metric)) if (name, metric) in BIAS else len(order)
        return (category != whole, ":" in category, category, place, metric)

    return tuple(sorted(found, key=key))


def _value(rows: pd.DataFrame) -> BiasValue:
    """Mean over splits (bias sets are usually scored on the first one alone)."""
    means = rows[["estimate", "low", "high", "items"]].mean()
    reason = "; ".join(dict.fromkeys(r for r in rows["reason"] if r))
    vacuous = bool((rows["status"] == "degenerate").all())
    return BiasValue(
        float(means["estimate"]), float(means["low"]), float(means["high"]), float(means["items"]), vacuous, reason
    )
