"""Which numbers of two runs can be compared, task by task, and which must not be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.stats.statistics import Floats
from reports.table import Tables

Place = tuple[str, str, str]
"""(task, protocol, use_sensitive)."""

PLACE = ["task", "protocol", "use_sensitive"]


class CompareError(ValueError):
    """Two runs that have nothing in common that can be compared."""


@dataclass(frozen=True)
class Refusal:
    """Scenarios that both runs have and that are not compared, and why."""

    task: str
    use_sensitive: str
    splits: tuple[int, ...]
    reason: str


def common_places(first: Tables, second: Tables) -> list[Place]:
    """Tasks that both runs have, in the order of the first.

    Raises
    ------
    CompareError
        If there is none.
    """
    places = [list(t.results[PLACE].drop_duplicates().itertuples(index=False, name=None)) for t in (first, second)]
    common = [place for place in places[0] if place in places[1]]
    if not common:
        told = [", ".join(dict.fromkeys(f"{task} ({protocol}, {use})" for task, protocol, use in p)) for p in places]
        raise CompareError(
            "The runs have no task in common (task, protocol, sensitive columns kept or dropped). "
            f"The first has {told[0] or 'none'}; the second has {told[1] or 'none'}. Give two runs of the same tasks."
        )
    return common


@dataclass(frozen=True)
class RunScenario:
    """The numbers of both runs on one task: (method, metric) → one value per split."""

    place: Place
    paired: bool
    first: dict[tuple[str, str], Floats]
    second: dict[tuple[str, str], Floats]

    def differences(self, key: tuple[str, str]) -> Floats:
        """[J] second minus first."""
        return self.second[key] - self.first[key]


def scenario_of_both(
    place: Place, first: pd.DataFrame, second: pd.DataFrame, same_seed: bool
) -> tuple[list[RunScenario], list[Refusal]]:
    """What can be compared on one task, and what must not be."""
    hashes = [rows.drop_duplicates("split").set_index("split")[["task_hash", "split_hash"]] for rows in (first, second)]
    common = sorted(set(hashes[0].index) & set(hashes[1].index))
    same_split = [s for s in common if hashes[0].loc[s, "split_hash"] == hashes[1].loc[s, "split_hash"]]
    same = [s for s in same_split if hashes[0].loc[s, "task_hash"] == hashes[1].loc[s, "task_hash"]]
    moved = [s for s in common if s not in same_split]
    refused = []
    if len(same) < len(same_split):
        revised = tuple(s for s in same_split if s not in same)
        reason = "the data, their card or their encoding have been revised in between (same split, other task hash)"
        refused.append(Refusal(place[0], place[2], revised, reason))
    if moved and same_seed:
        reason = "the rows of the data, or how they are split, have changed in between (same seed, other split hash)"
        refused.append(Refusal(place[0], place[2], tuple(moved), reason))
    if same:
        first, second = _seeds_of_both(first[first["split"].isin(same)], second[second["split"].isin(same)])
        return [RunScenario(place, True, _values(first, same), _values(second, same))], refused
    if refused or same_seed:
        return [], refused
    splits = [sorted(rows["split"].unique()) for rows in (first, second)]
    return [RunScenario(place, False, _values(first, splits[0]), _values(second, splits[1]))], refused


def _seeds_of_both(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the (method, split, seed) that both have: means over other seeds would differ by them."""
    keys = ["method", "metric", "split", "seed"]
    both = first.set_index(keys).index.intersection(second.set_index(keys).index)
    return first.set_index(keys).loc[both].reset_index(), second.set_index(keys).loc[both].reset_index()


def _values(rows: pd.DataFrame, splits: Sequence[int]) -> dict[tuple[str, str], Floats]:
    """(method, metric) → [J] mean over training seeds."""
    table = rows.groupby(["method", "metric", "split"])["estimate"].mean().unstack("split")
    table = table.reindex(columns=list(splits))
    return {(str(m), str(k)): v for (m, k), v in zip(table.index, table.to_numpy(dtype=np.float64), strict=True)}
