"""The part of ``leaderboard.md`` on ranks over all tasks."""

from __future__ import annotations

from foundation.escaping import markdown
from foundation.words import plural
from reports.format import estimate_text, half_text, interval_text, seconds_text
from reports.names import metric_symbol
from reports.render.markdown.cells import table
from reports.render.ranking_words import RANKS, few_tasks, friedman_sentence, notes, seeds_words
from reports.stats.hypervolume import VERSION
from reports.stats.leaderboard import Line, Pool
from reports.stats.task_means import TaskMean
from reports.summary import Report


def ranking_text(report: Report) -> str:
    """Ranks, tie groups and headline columns of every pool of methods."""
    text = (
        "Mean rank over scenarios (one split of one task; seeds are averaged) with its 95 % interval, the middle 95 % "
        "of the places taken in the bootstrap, and the tie group: methods of one group are not separable (Holm)."
    )
    parts = ["## Ranks over all tasks, and who ties", text]
    for pool in report.ranking.pools:
        counts = (plural(len(pool.tasks), "task"), plural(pool.scenarios, "scenario"))
        parts.append(f"### {plural(len(pool.lines), 'method')} on {', '.join(counts)}")
        parts.append(f"Tasks: {markdown(', '.join(pool.tasks))}. {few_tasks(pool)}".strip())
        parts.append(table(*_headline(pool)))
        said = [*notes(pool), *(f"{m}: {friedman_sentence(tests)}" for m, tests in pool.tests.items())]
        parts.append("\n".join(f"- {markdown(line)}" for line in said))
    return "\n\n".join(part for part in [*parts, seeds_words(report.ranking)] if part)


def _headline(pool: Pool) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the headline table."""
    ranked = [word for metric in RANKS for word in (f"rank {metric_symbol(metric)}", "group")]
    columns = pool.columns
    head = ["method", *ranked, *(VERSION if c == VERSION else metric_symbol(c) for c in columns), "wall s"]
    return head, [_row(pool, line, columns) for line in pool.best_first]


def _row(pool: Pool, line: Line, columns: list[str]) -> list[str]:
    label = line.method.label + (" (constant)" if line.degenerate else "")
    cells = [text for metric in RANKS for text in _rank(pool, line.method.id, metric)]
    return [label, *cells, *(_column(line.columns[metric]) for metric in columns), seconds_text(line.wall_s)]


def _rank(pool: Pool, method: str, metric: str) -> tuple[str, str]:
    found = pool.ranked(method, metric)
    if found is None:
        return "not ranked", "–"
    return f"{found.mean:.1f} {interval_text(found.low, found.high, 1)}, places {found.place}", found.group


def _column(column: TaskMean) -> str:
    if not column.known:
        return "n/e"
    null = f" ○ {column.within_null}/{column.tasks}" if column.within_null else ""
    known = f" ({column.known}/{column.asked})" if column.known < column.asked else ""
    return f"{estimate_text(column.mean, column.half)} {half_text(column.mean, column.half)}{null}{known}".strip()
