"""The page's main tables as files beside it: ``tables/*.csv`` with all digits, ``tables/*.tex`` for papers."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from foundation.files import write_text
from foundation.words import plural
from reports.explainers import WITH_REASONS, differ, mixed_words
from reports.format import estimate_text, half_text, signed
from reports.levels.contenders import PLAIN
from reports.names import DISPARITY, HEADLINE, OUTCOME, PROCEDURAL, UTILITY, metric_symbol
from reports.render.answer.files import answer_tables
from reports.render.claim_files import claim_tables
from reports.render.file_table import Table, Value
from reports.render.latex import latex_table
from reports.render.ranking_words import unranked_words
from reports.render.winner_rows import WinnerRow, value_and_spread, winner_rows
from reports.scenario import Scenario
from reports.stats.estimate import Estimate
from reports.stats.leaderboard import Pool
from reports.summary import Report

FOLDER = "tables"

METHOD_COLUMNS = (
    "task", "method", "label", "family", "metric", "mean", "low", "high", "sampling_low", "sampling_high", "null_p95",
    "splits", "splits_asked", "status", "reason", "smallest_group", "smallest_group_rows", "smallest_group_positives",
    "reasons_by", "knows_group",
)  # fmt: skip


def write_tables(report: Report, folder: Path) -> list[Path]:
    """Write every table of :func:`tables` as CSV and as LaTeX below ``folder / "tables"``.

    Returns
    -------
    list of Path
        The files; the same report gives the same bytes.
    """
    suite = report.suite
    stamp = f"Suite {suite['name']} v{suite['version']}, hash {suite['hash'][:12]}."
    paths = []
    for table in tables(report):
        caption = f"{table.caption} {stamp}"
        for ending, text in (
            ("csv", csv_text(table)),
            ("tex", latex_table(caption, table.name, table.heads, table.lines)),
        ):
            paths.append(folder / FOLDER / f"{table.name}.{ending}")
            write_text(paths[-1], text)
    return paths


def tables(report: Report) -> list[Table]:
    """The answers, comparisons over tasks, claims, ranks, winners by level, and the methods of every task."""
    found = [
        *answer_tables(report),
        _comparisons(report),
        *claim_tables(report),
        *(_ranks(i, pool) for i, pool in enumerate(report.ranking.pools, start=1)),
    ]
    found += [_winners(report), *(_methods(s) for s in report.scenarios)]
    return [table for table in found if table.rows]


def csv_text(table: Table) -> str:
    """RFC 4180 with bare line feeds; numbers with as many digits as read back the same."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_plain(v) for v in row] for row in table.rows)
    return buffer.getvalue()


def _plain(value: Value) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value))
    return str(value)


def _comparisons(report: Report) -> Table:
    columns = ("block", "method", "reference", "metric", "difference", "low", "high", "p_holm", "verdict",
               "smallest_effect", "tasks", "tasks_better", "tasks_worse", "reasons_by")  # fmt: skip
    rows: list[tuple[Value, ...]] = []
    lines = []
    for block, pairs in report.blocks:
        for a, b in pairs:
            cells = []
            for metric in HEADLINE:
                p = report.pooled.get((a, b, metric))
                if p is None or not p.tasks:
                    cells.append("–")
                    continue
                i = p.interval
                rows.append((block.id, a, b, metric, i.mean, i.low, i.high, p.p_holm, p.verdict, p.smallest, p.tasks,
                             p.better, p.worse, _ways(report, a, b) if metric in WITH_REASONS else ""))  # fmt: skip
                cells.append(f"{signed(i.mean)} ({p.verdict})")
            mark = " *" if differ(report.row(a), report.row(b)) else ""
            lines.append((f"{report.label(a)} − {report.label(b)}{mark}", *cells))
    caption = "Paired differences pooled over tasks, verdict at the 95 % level after Holm's correction."
    if any(line[0].endswith(" *") for line in lines):
        caption += " *: reasons are found in different ways, so procedural scores differ also by that."
    heads = ("Comparison", *map(metric_symbol, HEADLINE))
    return Table("comparisons", caption, columns, tuple(rows), heads, tuple(lines))


def _ways(report: Report, *methods: str) -> str:
    """How the reasons of methods are found: one way, or one per method."""
    return " / ".join(dict.fromkeys(report.row(method).explainer or "not known" for method in methods))


def _ranks(number: int, pool: Pool) -> Table:
    columns = ("method", "metric", "mean_rank", "low", "high", "place_best", "place_worst", "tie_group_first",
               "tie_group_last", "status")  # fmt: skip
    rows: list[tuple[Value, ...]] = []
    lines = []
    for line in pool.best_first:
        cells = []
        for metric in HEADLINE:
            r = pool.ranked(line.method.id, metric)
            if r is None:
                why = unranked_words(pool.unranked(line.method.id, metric))
                rows.append((line.method.id, metric, math.nan, math.nan, math.nan, "", "", "", "", why))
                cells.append("–")
            else:
                rows.append((line.method.id, metric, r.mean, r.low, r.high, r.best, r.worst, r.first, r.last, "ok"))
                cells.append(f"{r.mean:.1f} ({r.place})")
        lines.append((line.method.label, *cells))
    over = f"{plural(pool.scenarios, 'scenario')} of {plural(len(pool.tasks), 'task')}"
    caption = f"Mean rank over {over}, in brackets the places taken."
    mixed = mixed_words([line.method.row for line in pool.lines])
    caption += f" {mixed}" if mixed else ""
    heads = ("Method", *map(metric_symbol, HEADLINE))
    return Table(f"ranks-{number}", caption, columns, tuple(rows), heads, tuple(lines))


def _winners(report: Report) -> Table:
    columns = ("task", "level", "winner", "variant", "utility", "utility_low", "utility_high", "fair_res",
               "fair_res_low", "fair_res_high", "splits_kept", "splits", "not_separable", "others")  # fmt: skip
    found = winner_rows(report)
    lines = tuple(
        (r.scenario.name, r.words, "none", "–", "–")
        if r.winner is None
        else (r.scenario.name, r.words, r.winner.label, value_and_spread(r.utility), value_and_spread(r.gap))
        for r in found
    )
    caption = "Highest utility among the methods that keep the allowed gap on validation rows."
    heads = ("Task", "Allowed gap", "Winner", metric_symbol(UTILITY), metric_symbol(DISPARITY))
    return Table("winners", caption, columns, tuple(map(_winner, found)), heads, lines)


def _winner(row: WinnerRow) -> tuple[Value, ...]:
    name, variant = ("", "") if row.winner is None else row.winner.id
    numbers = [(math.nan,) * 3 if v is None else (v.mean, v.low, v.high) for v in (row.utility, row.gap)]
    kept = (row.kept, row.splits) if row.splits else ("", "")
    tied = " ".join(c.method.id if c.variant == PLAIN else "+".join(c.id) for c in row.tied)
    return (row.scenario.name, row.level, name, variant, *numbers[0], *numbers[1], *kept, tied, row.others)


def _methods(scenario: Scenario) -> Table:
    name = "methods-" + scenario.anchor.removeprefix("task-")
    smallest = min(scenario.groups, key=lambda g: g.count, default=None)
    size: tuple[Value, ...] = ("", "", "") if smallest is None else (smallest.name, smallest.count, smallest.positives)
    rows: list[tuple[Value, ...]] = []
    for m in scenario.methods:
        for metric in dict.fromkeys((*HEADLINE, *OUTCOME, *PROCEDURAL, *scenario.metrics)):
            e = scenario.estimate(m.id, metric)
            if e is not None:
                numbers = (e.mean, e.low, e.high, e.inner_low, e.inner_high, e.null_p95, e.known, e.asked)
                words = (status(e), "; ".join(e.reasons + e.notes))
                how = m.row.explainer if metric in WITH_REASONS else ""
                further = (how, int(m.row.sensitive_at_prediction))
                rows.append((scenario.name, m.id, m.label, m.reads, metric, *numbers, *words, *size, *further))
    shown = [metric for metric in (*HEADLINE, *OUTCOME[:3]) if metric in scenario.metrics]
    lines = tuple((m.label, *(_short(scenario, m.id, metric) for metric in shown)) for m in scenario.methods)
    sizes = ", ".join(f"{g.name} {g.count:.0f} ({g.positives:.0f} positive)" for g in scenario.groups)
    splits = plural(len(scenario.splits), "test split")
    caption = f"Methods on {scenario.name}: mean over {splits} ± 95 % interval. Rows: {sizes}."
    return Table(name, caption, METHOD_COLUMNS, tuple(rows), ("Method", *map(metric_symbol, shown)), lines)


def status(estimate: Estimate) -> str:
    """One word for an estimate: "failed", "timeout", "not_estimable", "constant", "partial" or "ok"."""
    if not estimate.known:
        return estimate.lost[0][0] if estimate.lost else "not_estimable"
    if estimate.mostly_degenerate:
        return "constant"
    return "ok" if estimate.known == estimate.asked else "partial"


def _short(scenario: Scenario, method: str, metric: str) -> str:
    e = scenario.estimate(method, metric)
    lost = scenario.lost.get(method)
    if e is None or not e.known:
        return lost.lost[0][0] if lost is not None else "–" if e is None else "n/e"
    return f"{estimate_text(e.mean, e.half)} {half_text(e.mean, e.half)}".strip()
