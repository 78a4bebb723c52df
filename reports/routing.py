"""Which experts the mixtures of a task send rows to, by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from reports.method import Method, in_order
from reports.methods import MethodRow
from reports.names import READS
from reports.stats.statistics import Floats


@dataclass(frozen=True)
class Routing:
    """Mean gate weights of one mixture method on test rows: weight[group][expert], and shares of top-1 experts."""

    method: Method
    groups: tuple[str, ...]
    experts: tuple[str, ...]
    weight: Floats
    top1: Floats

    def share(self, group: int, expert: str) -> tuple[float, float] | None:
        """(mean weight, share of top-1) of an expert in a group; None for an expert that the mixture does not have."""
        if expert not in self.experts:
            return None
        place = self.experts.index(expert)
        return float(self.weight[group, place]), float(self.top1[group, place])


@dataclass(frozen=True)
class Gates:
    """Mixtures of experts of the same families, and all their experts."""

    reads: str
    routing: tuple[Routing, ...]
    experts: tuple[str, ...]


def routing(table: pd.DataFrame, methods: Sequence[Method], rows: Mapping[str, MethodRow]) -> tuple[Routing, ...]:
    """Gate weights of every mixture of a task.

    Parameters
    ----------
    table : DataFrame
        Test rows of ``routing.csv`` of one task.
    methods : sequence of Method
        Methods of the task, in order.
    rows : mapping
        Records of the experts, for their order.
    """
    panels = []
    for method in methods:
        part = table[table["method"] == method.id]
        if part.empty:
            continue
        groups, experts = tuple(sorted(part["group"].unique())), in_order(part["expert"].unique().tolist(), rows)
        grid = [
            part.pivot_table(index="group", columns="expert", values=v).reindex(index=groups, columns=experts)
            for v in ("weight", "top1")
        ]
        panels.append(Routing(method, groups, experts, grid[0].to_numpy(), grid[1].to_numpy()))
    return tuple(panels)


def gates(routing: Sequence[Routing], rows: Mapping[str, MethodRow]) -> tuple[Gates, ...]:
    """Gate weights by what the mixed experts read."""
    found = []
    for kind in READS:
        own = tuple(r for r in routing if r.method.reads == kind)
        if own:
            found.append(Gates(kind, own, in_order({e for r in own for e in r.experts}, rows)))
    return tuple(found)
