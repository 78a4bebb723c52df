"""What is said around the ranks, on the page and in the markdown."""

from __future__ import annotations

import math

from foundation.words import plural
from reports.explainers import mixed_words
from reports.names import HEADLINE, metric_symbol
from reports.stats.leaderboard import Leaderboard, Pool
from reports.stats.rank_tests import FEWEST_TASKS, RankTests
from reports.stats.ranking import LACKS, Ranking, Unranked

RANKS = HEADLINE[:2]
"""Metrics whose ranks stand in the headline table: utility and result gap."""


WORDS = {"timeout": "ran out of time", "not_estimable": "not estimable"}
"""Why a scenario has no number of a method, where the status itself is no word."""


def unranked_words(row: Unranked | None) -> str:
    """``not ranked: missing 2 of 30 scenarios (1 failed, 1 not estimable)``; empty for a method with a rank."""
    if row is None:
        return ""
    why = ", ".join(f"{row.lacking[status]} {WORDS.get(status, status)}" for status in LACKS if row.lacking.get(status))
    return f"not ranked: missing {row.missing} of {row.asked} scenarios ({why})"


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
        f"Only {n} tasks: the intervals use t quantiles with {plural(n - 1, 'degree')} of freedom and are "
        "wide, because so few data sets prove little about others; the places are percentiles and too narrow."
    )


def notes(pool: Pool) -> list[str]:
    """Methods without a rank and why, scenarios that do not count, explainers, and where the bars come from."""
    found: dict[tuple[str, str], list[str]] = {}
    for metric in HEADLINE:
        for key in _lacks(pool.rankings[metric]):
            found.setdefault(key, []).append(metric_symbol(metric))
    said = [f"{', '.join(metrics)}: {who}: {words}." for (who, words), metrics in found.items()]
    mixed = mixed_words([line.method.row for line in pool.lines])
    return [*said, *([mixed] if mixed else []), *dict.fromkeys(bars_sentence(tests) for tests in pool.tests.values())]


def _lacks(ranking: Ranking) -> list[tuple[str, str]]:
    """Who or what is left out, and in which words."""
    by_words: dict[str, list[str]] = {}
    for row in ranking.unranked:
        by_words.setdefault(unranked_words(row), []).append(row.method.label)
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


def friedman_sentence(tests: RankTests) -> str:
    """What the Friedman test says, in words."""
    unit = plural(tests.tasks, "task")
    if math.isnan(tests.p):
        return f"A Friedman test is not possible with {unit} and {tests.methods} methods."
    return f"Friedman test over {unit}: χ² = {tests.statistic:.1f}, p {_p_text(tests.p)}."


def bars_sentence(tests: RankTests) -> str:
    """Where the bars of the diagram come from, and why."""
    if tests.powerful:
        return (
            "Tests over tasks use one value per task, its mean over splits. Bars join methods that Wilcoxon "
            "signed-rank tests, Holm-corrected over all pairs, cannot separate."
        )
    if tests.tasks < FEWEST_TASKS:
        why = f"with fewer than {FEWEST_TASKS} tasks no pair can reach p < 0.05"
    else:
        why = (
            f"of {tests.methods} methods on {tests.tasks} tasks: if all tasks agreed on a pair, p after Holm would "
            f"still be {tests.smallest:.2f}"
        )
    return (
        "Tests over tasks use one value per task, its mean over splits. Wilcoxon signed-rank tests have no power here "
        f"({why}), so the bars join methods that the bootstrap over scenarios cannot separate."
    )


def _p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
