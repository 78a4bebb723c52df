"""What the tables say, as plain objects: every page is a rendering of one :class:`Report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from metrics.registry import METRICS
from reports.names import BLOCKS, COMPARISONS, HEADLINE, METHOD_NAMES, READS, ROUTING, SECTIONS, Block, method_name
from reports.stats.budget import Budget, budget
from reports.stats.comparison import Comparison, Pooled, cap_of, compare, counted, pool, uncapped
from reports.stats.estimate import Estimate, Floats, estimates, values_by_split
from reports.stats.leaderboard import Leaderboard, leaderboard
from reports.stats.levels import Levels, levels
from reports.stats.published import Published, published
from reports.stats.transfer import Transfer, transfer
from reports.stats.winners import DISPARITY, LEVELS, Method, Winner, front_members, rank_intervals, winner
from reports.table import FURTHER, Tables, missing_cells, suite_methods, suite_tasks
from reports.text.bias import Bias, bias
from reports.text.fronts import MixtureFront, fronts
from reports.text.prompts import Prompts, prompts

COSTS = ("wall_s", "peak_mib", "trainable_parameters", "adapter_kib", "tokens_per_s")
"""What a method costs: seconds, peak memory, fitted numbers; of text experts also file size and speed."""


@dataclass(frozen=True)
class GroupSize:
    """A group's test rows and positives, averaged over splits."""

    name: str
    count: float
    positives: float


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
class Section:
    """Methods of one part of the tables."""

    id: str
    title: str
    reads: str
    methods: tuple[Method, ...]

    @property
    def ids(self) -> frozenset[str]:
        """Ids of the methods."""
        return frozenset(m.id for m in self.methods)


@dataclass(frozen=True)
class Gates:
    """Mixtures of experts of the same families, and all their experts."""

    reads: str
    routing: tuple[Routing, ...]
    experts: tuple[str, ...]


@dataclass(frozen=True)
class Scenario:
    """Everything about one task (with one protocol and one use of the sensitive columns)."""

    name: str
    anchor: str
    task: str
    protocol: str
    use_sensitive: str
    splits: tuple[int, ...]
    seeds: int
    task_hashes: tuple[str, ...]
    methods: tuple[Method, ...]
    metrics: tuple[str, ...]
    test: dict[tuple[str, str], Estimate]
    validation: dict[tuple[str, str], Estimate]
    values: dict[tuple[str, str], Floats]
    """(method, metric) → test value per split, averaged over seeds; nan where there is none."""
    validation_values: dict[tuple[str, str], Floats]
    on_front: frozenset[str]
    ranks: dict[tuple[str, str], tuple[int, int]]
    winners: tuple[Winner, ...]
    comparisons: dict[tuple[str, str, str], Comparison]
    """(method, reference, metric) → paired difference."""
    groups: tuple[GroupSize, ...]
    rates: dict[tuple[str, str, str], float]
    """(method, group, statistic) → test mean over splits."""
    routing: tuple[Routing, ...]
    cost: dict[str, dict[str, float]]
    provenance: list[dict[str, Any]]
    prompts: Prompts | None
    fronts: tuple[MixtureFront, ...]
    bias: Bias | None

    @property
    def cap(self) -> int | None:
        """Largest number of rows that the task uses, None for all."""
        return cap_of(self.name)

    @property
    def sections(self) -> tuple[Section, ...]:
        """Methods by section, in the order of ``reports.names.SECTIONS``."""
        parts = {key: tuple(m for m in self.methods if m.section == key) for key in SECTIONS}
        return tuple(Section(key, SECTIONS[key], own[0].reads, own) for key, own in parts.items() if own)

    @property
    def gates(self) -> tuple[Gates, ...]:
        """Gate weights by what the mixed experts read."""
        found = []
        for kind in READS:
            own = tuple(r for r in self.routing if r.method.reads == kind)
            if own:
                found.append(Gates(kind, own, _ordered_experts(list({e for r in own for e in r.experts}))))
        return tuple(found)

    @property
    def has_text(self) -> bool:
        """Whether text experts, or mixtures with them, are among the methods."""
        return any(m.reads in ("text", "both") for m in self.methods)

    def estimate(self, method: str, metric: str) -> Estimate | None:
        """Test estimate, None when the table has no row for it."""
        return self.test.get((method, metric))

    @property
    def reasons(self) -> list[str]:
        """Why numbers are absent, in the order of the footnotes."""
        return sorted({reason for estimate in self.test.values() if not estimate.known for reason in estimate.reasons})

    @property
    def notes(self) -> list[str]:
        """What else is said of numbers that are there, but for the word on constant predictions."""
        return sorted({note for estimate in self.test.values() if not estimate.degenerate for note in estimate.notes})

    @property
    def lost(self) -> dict[str, Estimate]:
        """Method → the estimate that says on how many splits it failed or ran out of time, and why."""
        return {method: e for (method, _), e in self.test.items() if e.lost}

    def degenerate(self, method: str) -> bool:
        """Whether the method's prediction is (nearly) constant on half of the splits or more."""
        estimate = self.test.get((method, DISPARITY))
        return estimate is not None and estimate.mostly_degenerate


@dataclass(frozen=True)
class Report:
    """One page."""

    suite: dict[str, Any]
    scenarios: tuple[Scenario, ...]
    methods: tuple[Method, ...]
    pooled: dict[tuple[str, str, str], Pooled]
    """(method, reference, metric) → over tasks."""
    unavailable: list[dict[str, str]]
    failures: list[dict[str, str]]
    ranking: Leaderboard
    """Ranks, tie groups and headline columns over all tasks."""
    missing: list[str] = field(default_factory=list)
    published: Published | None = None
    """The run beside published numbers; None where it has nothing to compare."""
    levels: Levels | None = None
    """Utility at fairness levels; None where the run has no rows of it."""
    transfer: Transfer | None = None
    budget: Budget | None = None

    def by_task(self, method: str, reference: str, metric: str) -> list[float]:
        """Mean differences on single tasks, where there are any."""
        found = counted({s.name: s.comparisons for s in self.scenarios}, (method, reference, metric))
        return [c.interval.mean for c in found if c.interval.n > 0]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Comparisons of which both methods are in the table."""
        have = {method.id for method in self.methods}
        return [pair for pair in COMPARISONS if set(pair) <= have]

    @property
    def blocks(self) -> list[tuple[Block, list[tuple[str, str]]]]:
        """Questions, each with the pairs that are in the table; those without a pair are left out."""
        have = set(self.pairs)
        parts = [(block, [pair for pair in block.pairs if pair in have]) for block in BLOCKS]
        return [(block, pairs) for block, pairs in parts if pairs]

    def tasks_of(self, pairs: Sequence[tuple[str, str]]) -> list[Scenario]:
        """Tasks on which at least one of the pairs is compared."""
        return [s for s in self.scenarios if any((*pair, m) in s.comparisons for pair in pairs for m in HEADLINE)]

    def pooled_tasks(self, pairs: Sequence[tuple[str, str]]) -> list[Scenario]:
        """Tasks that count when the pairs are pooled: not those on fewer rows that stand there in full too."""
        tasks = self.tasks_of(pairs)
        names = {s.name for s in tasks}
        return [s for s in tasks if s.cap is None or uncapped(s.name) not in names]

    @property
    def families(self) -> list[str]:
        """What the methods of the page read: keys of ``reports.names.READS``."""
        have = {method.reads for method in self.methods}
        return [key for key in READS if key in have]

    @property
    def text(self) -> dict[str, Any]:
        """Settings of the text experts; empty without them."""
        return dict(self.suite.get("llm") or {})

    @property
    def base_hash(self) -> str:
        """Hash of the base's weights; empty where the suite does not say."""
        facts = self.suite.get("llm_base") or ""
        return str(facts.get("hash", "")) if isinstance(facts, dict) else str(facts)


def summarise(tables: Tables) -> Report:
    """All numbers of a report.

    Parameters
    ----------
    tables : Tables

    Returns
    -------
    Report
        Scenarios in the order of the suite, methods in the order of the suite.
    """
    methods = _methods(tables)
    scenarios = tuple(_scenario(tables, methods, *key) for key in _scenario_keys(tables))
    pooled = {
        (*pair, metric): pooled
        for metric in HEADLINE
        for pair, pooled in pool(metric, {s.name: s.comparisons for s in scenarios}).items()
    }
    suite = tables.suite
    reached = levels(_further(tables, "levels"), methods, scenarios)
    return Report(
        suite=suite,
        scenarios=scenarios,
        methods=methods,
        pooled=pooled,
        unavailable=list(suite.get("unavailable", [])),
        failures=list(suite.get("failures", [])),
        ranking=leaderboard(tables, scenarios, _levels_of(tables, scenarios)),
        missing=missing_cells(tables),
        published=published(tables),
        levels=reached,
        transfer=None if reached is None else transfer(reached),
        budget=budget(_further(tables, "trials"), methods, scenarios),
    )


def _methods(tables: Tables) -> tuple[Method, ...]:
    facts = tables.results[tables.results["role"] != ""].groupby("method")[["role", "family"]].first()
    present = list(tables.results["method"].unique())
    asked = suite_methods(tables.suite)
    order = [m for m in asked if m in present] + sorted(set(present) - set(asked))
    empty = {"role": "", "family": ""}
    rows = {m: facts.loc[m].to_dict() if m in facts.index else empty for m in order}
    infos = tables.suite.get("infos", {})
    return tuple(
        Method(m, i, method_name(m, infos.get(m)), rows[m]["role"], rows[m]["family"])
        for i, m in enumerate(order, start=1)
    )


def _scenario_keys(tables: Tables) -> list[tuple[str, str, str]]:
    present = set(tables.results[["task", "protocol", "use_sensitive"]].itertuples(index=False, name=None))
    order = {task: i for i, task in enumerate(suite_tasks(tables.suite))}
    return sorted(present, key=lambda key: (order.get(key[0], len(order)), key[0], key[1], key[2] != "keep", key[2]))


def _scenario(tables: Tables, methods: Sequence[Method], task: str, protocol: str, use_sensitive: str) -> Scenario:
    rows = _select(tables.results, task=task, protocol=protocol, use_sensitive=use_sensitive)
    splits = tuple(sorted(rows["split"].unique().tolist()))
    here = tuple(m for m in methods if (rows["method"] == m.id).any())
    by_part = {part: rows[rows["part"] == part] for part in ("test", "validation")}
    values = {part: values_by_split(by_part[part], splits) for part in by_part}
    found = {part: estimates(by_part[part], values[part], len(splits)) for part in by_part}
    test, validation = found["test"], found["validation"]
    metrics = _ordered_metrics({metric for _, metric in test})
    single_axis = len(tables.suite["use_sensitive"]) == 1
    name = task if single_axis else f"{task} · sensitive {use_sensitive}"
    where = {"task": task, "protocol": protocol, "use_sensitive": use_sensitive}
    group_rows = _select(tables.groups, part="test", **where)
    further = {k: _select(_further(tables, k), **where) for k in FURTHER}
    trained = (tables.suite.get("llm") or {}).get("template", "")
    return Scenario(
        name=name,
        anchor="task-" + "".join(c if c.isalnum() else "-" for c in name).strip("-"),
        splits=splits,
        seeds=int(rows["seed"].nunique()),
        task_hashes=tuple(sorted(set(rows["task_hash"]) - {""})),
        methods=here,
        metrics=metrics,
        test=test,
        validation=validation,
        values=values["test"],
        validation_values=values["validation"],
        on_front=front_members(here, validation),
        ranks=rank_intervals(here, values["test"]),
        winners=tuple(winner(level, here, values["test"], validation) for level in LEVELS),
        comparisons={(*pair, m): c for m in HEADLINE for pair, c in compare(m, values["test"]).items()},
        groups=_group_sizes(group_rows),
        rates=_rates(group_rows),
        routing=_routing(_select(tables.routing, part="test", **where), here),
        cost=_cost(_select(tables.provenance, task=task, use_sensitive=use_sensitive)),
        provenance=_records(_select(tables.provenance, task=task, use_sensitive=use_sensitive)),
        prompts=prompts(further["templates"], here, trained),
        fronts=fronts(further["fronts"], here),
        bias=bias(further["bias"], here),
        **where,
    )


def _further(tables: Tables, name: str) -> pd.DataFrame:
    """A table that only some runs have; without it, an empty one."""
    return tables.further[name] if name in tables.further else pd.DataFrame(columns=list(FURTHER[name].columns))


def _levels_of(tables: Tables, scenarios: Sequence[Scenario]) -> dict[str, pd.DataFrame]:
    """Task's name → its rows of the table ``levels``."""
    table = _further(tables, "levels")
    return {s.name: _select(table, task=s.task, protocol=s.protocol, use_sensitive=s.use_sensitive) for s in scenarios}


def _select(table: pd.DataFrame, **equal: str) -> pd.DataFrame:
    keep = np.ones(len(table), dtype=bool)
    for column, value in equal.items():
        keep &= (table[column] == value).to_numpy()
    return table[keep]


def _ordered_metrics(present: set[str]) -> tuple[str, ...]:
    known = [metric for metric in (*METRICS, *ROUTING) if metric in present]
    return (*known, *sorted(present - set(known)))


def _group_sizes(rows: pd.DataFrame) -> tuple[GroupSize, ...]:
    """Sizes come from the data, so that every method and seed of a split has the same."""
    table = rows.groupby(["group", "statistic"])["estimate"].mean().unstack("statistic")
    return tuple(GroupSize(str(name), float(row["count"]), float(row["positives"])) for name, row in table.iterrows())


def _rates(rows: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    means = rows.groupby(["method", "group", "statistic"])["estimate"].mean()
    return {(str(m), str(g), str(s)): float(v) for (m, g, s), v in zip(means.index, means.to_list(), strict=True)}


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in record.items()} for record in rows.to_dict("records")]


def _routing(rows: pd.DataFrame, methods: Sequence[Method]) -> tuple[Routing, ...]:
    panels = []
    for method in methods:
        part = rows[rows["method"] == method.id]
        if part.empty:
            continue
        groups, experts = tuple(sorted(part["group"].unique())), _ordered_experts(part["expert"].unique().tolist())
        grid = [
            part.pivot_table(index="group", columns="expert", values=v).reindex(index=groups, columns=experts)
            for v in ("weight", "top1")
        ]
        panels.append(Routing(method, groups, experts, grid[0].to_numpy(), grid[1].to_numpy()))
    return tuple(panels)


def _ordered_experts(experts: Sequence[str]) -> tuple[str, ...]:
    known = list(METHOD_NAMES)
    return tuple(sorted(experts, key=lambda e: (known.index(e) if e in known else len(known), e)))


def _cost(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    means = rows.groupby("method")[list(COSTS)].mean()
    return {str(method): {str(k): float(v) for k, v in row.items()} for method, row in means.iterrows()}
