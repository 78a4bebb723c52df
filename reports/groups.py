"""Groups of a task: their sizes, and the rates of every method in them."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class GroupSize:
    """A group's test rows and positives, averaged over splits."""

    name: str
    count: float
    positives: float


def group_sizes(rows: pd.DataFrame) -> tuple[GroupSize, ...]:
    """Sizes come from the data, so that every method and seed of a split has the same."""
    table = rows.groupby(["group", "statistic"])["estimate"].mean().unstack("statistic")
    return tuple(GroupSize(str(name), float(row["count"]), float(row["positives"])) for name, row in table.iterrows())


def group_rates(rows: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    """(method, group, statistic) → mean over splits and seeds."""
    means = rows.groupby(["method", "group", "statistic"])["estimate"].mean()
    return {(str(m), str(g), str(s)): float(v) for (m, g, s), v in zip(means.index, means.to_list(), strict=True)}


def group_rate_ends(rows: pd.DataFrame) -> dict[tuple[str, str, str], tuple[float, float]]:
    """(method, group, statistic) → ends of the sampling interval within a split, averaged over splits and seeds."""
    means = rows.dropna(subset=["low", "high"]).groupby(["method", "group", "statistic"])[["low", "high"]].mean()
    return {(str(m), str(g), str(s)): (float(low), float(high)) for (m, g, s), low, high in means.itertuples()}
