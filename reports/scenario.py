"""Everything that is known about one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from metrics.registry import METRICS
from reports.blocks import Block
from reports.caps import cap_of
from reports.groups import GroupSize, group_rate_ends, group_rates, group_sizes
from reports.method import Method
from reports.methods import MethodRow
from reports.names import HEADLINE, ROUTING, SECTIONS
from reports.routing import Gates, Routing, gates, routing
from reports.stats.contrasts import Contrast, contrasts
from reports.stats.estimate import Estimate
from reports.stats.scores import TaskScores, task_scores
from reports.stats.winners import ALLOWED_GAPS, Winner, front_members, rank_intervals, winner
from reports.table import Tables, further_table, select, suite_tasks
from reports.text.bias import Bias, bias, bias_sets
from reports.text.fronts import MixtureFront, fronts
from reports.text.wording import Wording, wording

COSTS = ("wall_s", "trainable_parameters", "adapter_kib", "tokens_per_s")
"""What a method costs: seconds, fitted numbers; of text experts also file size and speed."""


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
class Scenario(TaskScores):
    """Everything about one task (with one protocol and one use of the sensitive columns)."""

    anchor: str
    seeds: int
    task_hashes: tuple[str, ...]
    metrics: tuple[str, ...]
    on_front: frozenset[str]
    ranks: dict[tuple[str, str], tuple[int, int]]
    winners: tuple[Winner, ...]
    contrasts: dict[tuple[str, str, str], Contrast]
    """(method, reference, metric) → paired difference."""
    groups: tuple[GroupSize, ...]
    rates: dict[tuple[str, str, str], float]
    """(method, group, statistic) → test mean over splits."""
    rate_ends: dict[tuple[str, str, str], tuple[float, float]]
    """The same → ends of the sampling interval."""
    routing: tuple[Routing, ...]
    gates: tuple[Gates, ...]
    """The same by what the mixed experts read."""
    wording: Wording | None
    fronts: tuple[MixtureFront, ...]
    bias: Bias | None
    left: dict[str, int]
    """Why rows of the data are not in the task → how many."""

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


@dataclass(frozen=True)
class Run:
    """What all tasks of a run share: its tables, methods, records and questions."""

    tables: Tables
    methods: tuple[Method, ...]
    rows: Mapping[str, MethodRow]
    blocks: tuple[Block, ...]


def scenarios_of(run: Run) -> tuple[Scenario, ...]:
    """All tasks of a run, in the order of its suite."""
    return tuple(_scenario(run, task, protocol, use) for task, protocol, use in _scenario_keys(run.tables))


def _scenario_keys(tables: Tables) -> list[tuple[str, str, str]]:
    present = set(tables.results[["task", "protocol", "use_sensitive"]].itertuples(index=False, name=None))
    order = {task: i for i, task in enumerate(suite_tasks(tables.suite))}
    return sorted(present, key=lambda key: (order.get(key[0], len(order)), key[0], key[1], key[2] != "keep", key[2]))


def _scenario(run: Run, task: str, protocol: str, use_sensitive: str) -> Scenario:
    where = {"task": task, "protocol": protocol, "use_sensitive": use_sensitive}
    results = select(run.tables.results, **where)
    single_axis = len(run.tables.suite["use_sensitive"]) == 1
    scores = task_scores(
        task if single_axis else f"{task} · sensitive {use_sensitive}",
        where,
        results,
        tuple(m for m in run.methods if (results["method"] == m.id).any()),
        _cost(_cells(run, where)),
        run.tables.suite.get("sources", {}),
    )
    here, values = scores.methods, scores.values
    groups = select(run.tables.groups, part="test", **where)
    found = routing(select(run.tables.routing, part="test", **where), here, run.rows)
    return Scenario(
        **vars(scores),
        anchor="task-" + "".join(c if c.isalnum() else "-" for c in scores.name).strip("-"),
        seeds=int(results["seed"].nunique()),
        task_hashes=tuple(sorted(set(results["task_hash"]) - {""})),
        metrics=_ordered_metrics({metric for _, metric in scores.test}),
        on_front=front_members(here, scores.validation),
        ranks=rank_intervals(here, values),
        winners=tuple(winner(gap, here, values, scores.validation) for gap in ALLOWED_GAPS),
        contrasts={(*pair, m): c for m in HEADLINE for pair, c in contrasts(m, values, run.blocks).items()},
        groups=group_sizes(groups),
        rates=group_rates(groups),
        rate_ends=group_rate_ends(groups),
        routing=found,
        gates=gates(found, run.rows),
        left=run.tables.suite.get("left", {}).get(task, {}),
        **_of_texts(run, where, here),
    )


def _of_texts(run: Run, where: Mapping[str, str], here: Sequence[Method]) -> dict[str, Any]:
    """What only tasks with text experts have."""
    tables = {name: select(further_table(run.tables, name), **where) for name in ("templates", "fronts", "bias")}
    trained = (run.tables.suite.get("llm") or {}).get("template", "")
    return {
        "wording": wording(tables["templates"], here, trained),
        "fronts": fronts(tables["fronts"], here, run.rows),
        "bias": bias(tables["bias"], here, bias_sets(run.tables.suite)),
    }


def _cells(run: Run, where: Mapping[str, str]) -> pd.DataFrame:
    """Provenance of a task's cells; the table does not know the protocol."""
    return select(run.tables.provenance, task=where["task"], use_sensitive=where["use_sensitive"])


def _ordered_metrics(present: set[str]) -> tuple[str, ...]:
    known = [metric for metric in (*METRICS, *ROUTING) if metric in present]
    return (*known, *sorted(present - set(known)))


def _cost(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    means = rows.groupby("method")[list(COSTS)].mean()
    return {str(method): {str(k): float(v) for k, v in row.items()} for method, row in means.iterrows()}
