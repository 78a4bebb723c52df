"""Tables in Markdown, and the cells that several of them share."""

from __future__ import annotations

import math
from collections.abc import Collection

from foundation.escaping import Markdown, markdown
from reports.explainers import MARK, WITH_REASONS, code, differ
from reports.format import estimate_text, half_text, interval_text, signed
from reports.names import metric_symbol
from reports.render.finds_words import finds_words
from reports.scenario import Scenario
from reports.stats.contrasts import Contrast, Pooled
from reports.summary import Report


def table(head: list[str], rows: list[list[str]]) -> Markdown:
    """A table in Markdown: names to the left, numbers to the right; cells are plain text unless they are Markdown."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return Markdown("\n".join("| " + " | ".join(map(markdown, line)) + " |" for line in lines))


def pair(report: Report, method: str, reference: str) -> str:
    """Two methods whose difference is told; marked where their reasons are found in different ways."""
    mark = f" {MARK}" if differ(report.row(method), report.row(reference)) else ""
    return f"{report.label(method)} − {report.label(reference)}{mark}"


def cell(scenario: Scenario, method: str, metric: str) -> str:
    """Test estimate of one metric of a method, with its interval and ○ within the null."""
    e = scenario.estimate(method, metric)
    if e is None:
        return "–"
    if not e.known:
        return "n/e"
    spread = interval_text(e.inner_low, e.inner_high) if math.isnan(e.half) else half_text(e.mean, e.half)
    return f"{estimate_text(e.mean, e.half)} {spread}".strip() + (" ○" if e.within_null else "")


def difference(c: Contrast | None) -> str:
    """A paired difference on one task with its verdict."""
    if c is None or c.interval.n == 0:
        return "–"
    finds = f" {words}" if (words := finds_words(c)) else ""
    return Markdown(f"{signed(c.interval.mean)} {half_text(c.interval.mean, c.interval.half)} **{c.verdict}**{finds}")


def metric_table(scenario: Scenario, metrics: tuple[str, ...], only: Collection[str]) -> str:
    """Methods of a task, a column per metric, and how reasons are found where a metric depends on it."""
    shown = [metric for metric in metrics if metric in scenario.metrics]
    explained = bool(WITH_REASONS & set(shown))
    rows = [
        [
            m.label + (" (constant)" if scenario.degenerate(m.id) else ""),
            *(cell(scenario, m.id, metric) for metric in shown),
            *([code(m.row.explainer) or "–"] if explained else []),
        ]
        for m in scenario.methods
        if m.id in only
    ]
    return table(["method", *map(metric_symbol, shown), *(["reasons by"] if explained else [])], rows)


def pooled_cell(d: Pooled) -> str:
    """A difference over tasks: interval, verdict, and single tasks."""
    tally = f"{d.better}▲ {d.worse}▼ {d.tasks - d.better - d.worse}○"
    spread = interval_text(d.interval.low, d.interval.high, 3)
    finds = f", {words}" if (words := finds_words(d)) else ""
    return Markdown(f"{signed(d.interval.mean)} {spread} **{d.verdict}**{finds} ({tally})")
