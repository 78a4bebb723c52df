"""What is said around the ranks, on the page and in the markdown."""

from __future__ import annotations

from reports.names import HEADLINE, metric_symbol
from reports.render.format import estimate_text, half_text, interval_text, seconds_text
from reports.stats.critical_difference import bars_sentence
from reports.stats.hypervolume import VERSION
from reports.stats.leaderboard import Column, Leaderboard, Line, Pool
from reports.stats.ranking import Ranking

RANKS = HEADLINE[:2]
"""Metrics whose ranks stand in the headline table: utility and result gap."""


def few_tasks(pool: Pool) -> str:
    """Why the intervals are wide; empty with enough tasks."""
    n = len(pool.tasks)
    if n == 1:
        return (
            "One task: the intervals are over its splits alone, and nothing is known about other data sets. With one "
            "split there is no interval, and all methods tie."
        )
    if not pool.few:
        return ""
    return (
        f"Only {n} tasks: the intervals use t quantiles with {n - 1} degree{'s' if n > 2 else ''} of freedom and are "
        "wide, because so few data sets prove little about others; the places are percentiles and too narrow."
    )


def notes(pool: Pool) -> list[str]:
    """Methods without a rank and why, scenarios that do not count, and where the bars come from."""
    found: dict[tuple[str, str], list[str]] = {}
    for metric in HEADLINE:
        for key in _lacks(pool.rankings[metric]):
            found.setdefault(key, []).append(metric_symbol(metric))
    said = [f"{', '.join(metrics)}: {who}: {words}." for (who, words), metrics in found.items()]
    return [*said, *dict.fromkeys(bars_sentence(tests) for tests in pool.tests.values())]


def _lacks(ranking: Ranking) -> list[tuple[str, str]]:
    """Who or what is left out, and in which words."""
    by_words: dict[str, list[str]] = {}
    for row in ranking.unranked:
        by_words.setdefault(row.words, []).append(row.method.name.label)
    lacks = [(", ".join(labels), words) for words, labels in by_words.items()]
    if ranking.left_out:
        lacks.append(("; ".join(ranking.left_out), "not counted, most methods have no number there"))
    return lacks


def seeds_words(board: Leaderboard) -> str:
    """What is known about training seeds where there is no decomposition; empty where there is one."""
    if board.spreads:
        return ""
    one = "One training seed" if board.seeds < 2 else "Too few seeds per split"
    return f"{one}: how far the numbers would move with another seed is not known."


def markdown_table(pool: Pool) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the headline table."""
    ranked = [word for metric in RANKS for word in (f"rank {metric_symbol(metric)}", "group")]
    columns = pool.columns
    head = ["method", *ranked, *(VERSION if c == VERSION else metric_symbol(c) for c in columns), "wall s"]
    return head, [_row(pool, line, columns) for line in pool.best_first]


def _row(pool: Pool, line: Line, columns: list[str]) -> list[str]:
    label = line.method.name.label + (" (constant)" if line.degenerate else "")
    cells = [text for metric in RANKS for text in _rank(pool, line.method.id, metric)]
    return [label, *cells, *(_column(line.columns[metric]) for metric in columns), seconds_text(line.wall_s)]


def _rank(pool: Pool, method: str, metric: str) -> tuple[str, str]:
    found = pool.ranked(method, metric)
    if found is None:
        return "not ranked", "–"
    return f"{found.mean:.1f} {interval_text(found.low, found.high, 1)}, places {found.place}", found.group


def _column(column: Column) -> str:
    if not column.known:
        return "n/e"
    null = f" ○ {column.within_null}/{column.tasks}" if column.within_null else ""
    known = f" ({column.known}/{column.asked})" if column.known < column.asked else ""
    return f"{estimate_text(column.mean, column.half)} {half_text(column.mean, column.half)}{null}{known}".strip()
