"""What the tables say, as plain objects: every page is a rendering of one :class:`Report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from reports.answer.answer import Answer
from reports.answer.answers import Answers, answers
from reports.answer.details import Details, details
from reports.answer.setting import first
from reports.blocks import Block, blocks_of
from reports.caps import stands_back
from reports.levels.ablation import Ablation, ablation
from reports.levels.ceiling import parts_of
from reports.levels.claims import Claim, claims
from reports.levels.levels import Levels, levels
from reports.levels.procedural import ProceduralClaim, procedural_claims
from reports.levels.reached import GAPS
from reports.levels.transfer import Transfer, transfer
from reports.method import Method, methods_of, row_in, rows_of
from reports.methods import MethodRow
from reports.names import HEADLINE, KINDS, READS
from reports.published.verdicts import Published, published
from reports.scenario import Run, Scenario, scenarios_of
from reports.stats.budget import Budget, budget
from reports.stats.contrasts import Pooled, counted, pool
from reports.stats.leaderboard import Leaderboard, leaderboard
from reports.stats.three_objectives import ThreeObjectives, three_objectives
from reports.table import Tables, further_table, missing_cells, select


@dataclass(frozen=True)
class Report:
    """One page."""

    suite: dict[str, Any]
    scenarios: tuple[Scenario, ...]
    methods: tuple[Method, ...]
    rows: Mapping[str, MethodRow]
    """Records of the methods and of the experts of mixtures."""
    questions: tuple[Block, ...]
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
    claims: tuple[Claim, ...] = ()
    """What is claimed of the mixture, at every gap that was bounded."""
    procedural: tuple[ProceduralClaim, ...] = ()
    """What is claimed where reasons are bounded too."""
    ablation: Ablation | None = None
    three: ThreeObjectives | None = None
    """Fronts of three objectives; None where no task has a reference."""
    budget: Budget | None = None
    answers: Answers = field(default_factory=dict)
    """Which method to take, for every gap, level and task; empty where the run has no rows of levels."""
    details: Details = field(default_factory=lambda: Details({}, ()))
    """Parameters, runs and commands behind the answers."""
    named: bool = True
    """Whether the run wrote records of its methods; without them they are called by their ids."""

    @cached_property
    def opening(self) -> Answer | None:
        """The answer that a page opens with; None for a run that has no levels."""
        return self.answers[first(list(self.answers))] if self.answers else None

    @property
    def without(self) -> list[tuple[str, str]]:
        """(what, why): parts beside the scores that failed, each reason once, with the cells that lack them."""
        by_reason: dict[tuple[str, str], dict[str, list[str]]] = {}
        for cell in self.suite.get("lost", ()):
            place = f"{cell['task']} split {cell['split']}"
            here = by_reason.setdefault((cell["step"], cell["reason"]), {}).setdefault(place, [])
            here.append(f"{cell['method']} (seed {cell['seed']})")
        return [
            (f"{step} of " + "; ".join(f"{place}: {', '.join(methods)}" for place, methods in places.items()), reason)
            for (step, reason), places in by_reason.items()
        ]

    @property
    def failed(self) -> list[tuple[str, str]]:
        """(who, why): each reason once, with the jobs and methods that failed for it."""
        by_reason: dict[str, dict[str, list[str]]] = {}
        for f in self.failures:
            reason = f["error"].strip().splitlines()[-1]
            by_reason.setdefault(reason, {}).setdefault(f["job"], []).append(f"{f['method']} (seed {f['seed']})")
        return [
            ("; ".join(f"{job}: {', '.join(methods)}" for job, methods in jobs.items()), reason)
            for reason, jobs in by_reason.items()
        ]

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, in their order."""
        return [scenario.name for scenario in self.scenarios]

    def row(self, id: str) -> MethodRow:
        """Record of a method or an expert."""
        return row_in(self.rows, id)

    def label(self, id: str) -> str:
        """What a method or an expert is called."""
        return self.row(id).label

    def by_task(self, method: str, reference: str, metric: str) -> list[float]:
        """Mean differences on single tasks, where there are any."""
        found = counted({s.name: s.contrasts for s in self.scenarios}, (method, reference, metric))
        return [c.interval.mean for c in found.values() if c.interval.n > 0]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Pairs of all questions of which both methods are in the table."""
        have = {method.id for method in self.methods}
        return [pair for block in self.questions for pair in block.pairs if set(pair) <= have]

    @property
    def blocks(self) -> list[tuple[Block, list[tuple[str, str]]]]:
        """Questions, each with the pairs that are in the table; those without a pair are left out."""
        have = set(self.pairs)
        parts = [(block, [pair for pair in block.pairs if pair in have]) for block in self.questions]
        return [(block, pairs) for block, pairs in parts if pairs]

    def tasks_of(self, pairs: Sequence[tuple[str, str]]) -> list[Scenario]:
        """Tasks on which at least one of the pairs is compared."""
        return [s for s in self.scenarios if any((*pair, m) in s.contrasts for pair in pairs for m in HEADLINE)]

    def pooled_tasks(self, pairs: Sequence[tuple[str, str]]) -> list[Scenario]:
        """Tasks that count when the pairs are pooled: not those on fewer rows that stand there in full too."""
        tasks = self.tasks_of(pairs)
        names = {s.name for s in tasks}
        return [s for s in tasks if not stands_back(s.name, names)]

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
    methods, suite, found = methods_of(tables), tables.suite, published(tables)
    rows = _with_published(rows_of(tables, methods), found)
    blocks = blocks_of(rows)
    scenarios = scenarios_of(Run(tables, methods, rows, blocks))
    each = [levels(further_table(tables, "levels"), methods, scenarios, gap) for gap in GAPS]
    bounded = [own for own in each if own is not None]
    parts = parts_of(tables.groups, scenarios) if bounded else {}
    both = [(own, transfer(own, parts, scenarios)) for own in bounded]
    reached, moved = both[0] if both and both[0][0].gap == GAPS[0] else (None, None)
    return Report(
        suite=suite,
        scenarios=scenarios,
        methods=methods,
        rows=rows,
        questions=blocks,
        pooled=_pooled(scenarios, blocks),
        unavailable=list(suite.get("unavailable", [])),
        failures=list(suite.get("failures", [])),
        ranking=leaderboard(tables, scenarios, _levels_of(tables, scenarios)),
        missing=missing_cells(tables),
        published=found,
        levels=reached,
        transfer=moved,
        claims=tuple(claim for pair in both for claim in claims(*pair)),
        procedural=procedural_claims(further_table(tables, "levels"), reached, methods, scenarios),
        ablation=None if reached is None else ablation(reached),
        three=three_objectives(_once(scenarios), _sets(methods)),
        budget=budget(further_table(tables, "trials"), methods, scenarios),
        answers=answers(both, further_table(tables, "levels"), scenarios),
        details=details(tables, scenarios),
        named=bool(tables.methods),
    )


def _with_published(rows: dict[str, MethodRow], found: Published | None) -> dict[str, MethodRow]:
    """Records, and the names of published methods that the run does not hold."""
    labels = {} if found is None else found.labels
    return rows | {id: MethodRow(id, label) for id, label in labels.items() if id not in rows}


def _pooled(scenarios: Sequence[Scenario], blocks: Sequence[Block]) -> dict[tuple[str, str, str], Pooled]:
    by_task = {s.name: s.contrasts for s in scenarios}
    sources = {s.name: s.source for s in scenarios}
    return {(*pair, metric): d for metric in HEADLINE for pair, d in pool(metric, by_task, blocks, sources).items()}


def _once(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """Tasks without those on fewer rows that are there in full too."""
    names = {s.name for s in scenarios}
    return [s for s in scenarios if not stands_back(s.name, names)]


def _sets(methods: Sequence[Method]) -> dict[str, list[Method]]:
    """Methods that are looked at together: all, and those of each kind."""
    kinds = {KINDS[kind].capitalize(): [m for m in methods if m.kind == kind] for kind in KINDS}
    return {"All methods": list(methods), **{label: own for label, own in kinds.items() if len(own) > 1}}


def _levels_of(tables: Tables, scenarios: Sequence[Scenario]) -> dict[str, pd.DataFrame]:
    """Task's name → its rows of the table ``levels``."""
    table = select(further_table(tables, "levels"), procedural="")
    return {s.name: select(table, **s.where) for s in scenarios}
