"""Language bias sets: what base, adapters and mixtures score, with intervals, and what cannot be estimated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.method import Method
from reports.names import plain_metric

WHOLE = ("macro", "all")
"""Categories that stand for a whole set: the mean over its categories, or all of its items."""


@dataclass(frozen=True)
class BiasValue:
    """One value, averaged over the splits on which the set was scored.

    ``null_p95``: what dealing items to groups at random reaches or exceeds in 5 % of deals; nan where there is no such
    null, or several splits, whose mean has another one.
    ``vacuous``: a value that is right but shows nothing, because the answers do not depend on what is measured.
    ``reason``: why there is no value, or why it is vacuous.
    """

    estimate: float
    low: float
    high: float
    items: float
    vacuous: bool
    reason: str
    null_p95: float = math.nan

    @property
    def known(self) -> bool:
        """Whether there is a number."""
        return not math.isnan(self.estimate)

    @property
    def within_null(self) -> bool:
        """Whether the value is not above what items dealt to groups at random give."""
        return self.estimate <= self.null_p95


Column = tuple[str, str]
"""(set, metric)."""


@dataclass(frozen=True, slots=True)
class BiasColumn:
    """Head of a column of the bias table: ``ideal`` says which value is best, ``digits`` how many decimals."""

    symbol: str
    ideal: str = ""
    about: str = ""
    digits: int = 3


@dataclass(frozen=True)
class BiasSet:
    """Words of a set, and of its main columns in their order; other metrics of the set stand in its fold."""

    label: str
    columns: Mapping[str, BiasColumn]


def bias_sets(suite: Mapping[str, Any]) -> dict[str, BiasSet]:
    """Words of the bias sets, as the run wrote them into its suite; empty for a run that wrote none.

    Columns are ``{metric: [symbol, ideal, about, digits]}``, or ``[[metric, symbol, …], …]`` where their order counts:
    the keys of a JSON file are sorted.
    """
    return {
        name: BiasSet(facts["label"], {metric: BiasColumn(*words) for metric, *words in _listed(facts["columns"])})
        for name, facts in (suite.get("bias_sets") or {}).items()
    }


def _listed(columns: Mapping[str, Sequence[Any]] | Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
    return [(metric, *words) for metric, words in columns.items()] if isinstance(columns, Mapping) else list(columns)


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
    words: Mapping[str, BiasSet]

    def label(self, name: str) -> str:
        """What a set is called; one without words by its id."""
        return self.words[name].label if name in self.words else name

    def head(self, name: str, metric: str) -> BiasColumn:
        """Head of a column; a metric without words is called by its id."""
        own = self.words[name].columns if name in self.words else {}
        return own.get(metric) or BiasColumn(plain_metric(metric))

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


def bias(rows: pd.DataFrame, methods: Sequence[Method], words: Mapping[str, BiasSet]) -> Bias | None:
    """Bias sets of one task, None when none was scored.

    Parameters
    ----------
    rows : DataFrame
        Rows of ``bias.csv`` of one task.
    methods : sequence of Method
        Methods of the task, in order; the result has the base first and mixtures last.
    words : mapping
        Set → its words, in the order of the table: see :func:`bias_sets`.
    """
    here = tuple(sorted((m for m in methods if (rows["method"] == m.id).any()), key=_place))
    if not here:
        return None
    values = {
        (str(m), str(s), str(k), str(c)): _value(part)
        for (m, s, k, c), part in rows.groupby(["method", "set", "metric", "category"])
    }
    sets = [s for s in (*words, *sorted(set(rows["set"]) - set(words))) if (rows["set"] == s).any()]
    whole = {s: next((c for c in WHOLE if any(k[1] == s and k[3] == c for k in values)), "") for s in sets}
    known = {(s, metric) for _, s, metric, category in values if category == whole[s]}
    named = [(s, metric) for s, own in words.items() for metric in own.columns]
    unnamed = [(s, metric) for s, metric in sorted(known) if s not in words]
    return Bias(
        methods=here,
        columns=(*(c for c in named if c in known), *unnamed),
        categories={s: _categories(s, whole[s], values, named) for s in sets},
        values=values,
        splits=int(rows["split"].nunique()),
        whole=whole,
        words=words,
    )


def _place(method: Method) -> tuple[int, int]:
    """Base, adapters, mixtures; within them the order of the suite."""
    return (0 if method.row.untrained else 2 if method.role == "mixture" else 1, method.number)


def _categories(
    name: str, whole: str, values: dict[tuple[str, str, str, str], BiasValue], order: Sequence[Column]
) -> tuple[tuple[str, str], ...]:
    found = {(category, metric) for _, s, metric, category in values if s == name}

    def key(row: tuple[str, str]) -> tuple[bool, bool, str, int, str]:
        category, metric = row
        place = order.index((name, metric)) if (name, metric) in order else len(order)
        return (category != whole, ":" in category, category, place, metric)

    return tuple(sorted(found, key=key))


def _value(rows: pd.DataFrame) -> BiasValue:
    """Mean over splits (bias sets are usually scored on the first one alone)."""
    means = rows[["estimate", "low", "high", "items"]].mean()
    reason = "; ".join(dict.fromkeys(r for r in rows["reason"] if r))
    vacuous = bool((rows["status"] == "degenerate").all())
    null = float(rows["null_p95"].iloc[0]) if len(rows) == 1 else math.nan
    return BiasValue(
        float(means["estimate"]),
        float(means["low"]),
        float(means["high"]),
        float(means["items"]),
        vacuous,
        reason,
        null,
    )
