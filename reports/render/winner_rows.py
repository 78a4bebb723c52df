"""Who wins at which level of which task: the rows of one table, for the page, the markdown and the files alike."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from foundation.words import listing, plural
from reports.format import estimate_text, half_text, interval_text
from reports.levels.best import Best
from reports.levels.contenders import PLAIN, Contender
from reports.names import DISPARITY, UTILITY
from reports.render.level_words import level_words
from reports.scenario import Scenario
from reports.stats.estimate import Estimate
from reports.stats.statistics import Interval
from reports.stats.winners import Winner
from reports.summary import Report


@dataclass(frozen=True)
class WinnerRow:
    """A winner.

    Attributes
    ----------
    level, words : str
        ``0.05``, ``half``, ``any``; as it is shown.
    winner : Contender or None
        None: no method is known to reach the level on validation rows, but for a constant answer.
    utility, gap : Estimate, Interval or None
        What it has on test rows.
    kept, splits : int
        Test splits that keep the level too, of how many; 0 of 0 where there is no level.
    tied : tuple of Contender
        Others that reach the level and are not surely worse, of ``others`` that reach it.
    unknown : int
        Methods of the task of which nothing is known at the level.
    """

    scenario: Scenario
    level: str
    words: str
    winner: Contender | None
    utility: Estimate | Interval | None = None
    gap: Estimate | Interval | None = None
    kept: int = 0
    splits: int = 0
    tied: tuple[Contender, ...] = ()
    others: int = 0
    unknown: int = 0

    @property
    def kept_words(self) -> str:
        """``4/5``; nothing without a level."""
        return f"{self.kept}/{self.splits}" if self.splits else ""

    @property
    def broken(self) -> int:
        """Test splits on which the winner breaks the level that it kept on the rows that chose."""
        return self.splits - self.kept


NAMED = 3
"""Names of those that cannot be told from a winner; the file ``winners.csv`` has all."""


def tied_words(row: WinnerRow) -> str:
    """``13 of 16: Mixture, LightGBM + thresholds (G), GCN and 10 more``."""
    return f"{len(row.tied)} of {row.others}: {listing([c.label for c in row.tied], NAMED)}"


def broken_words(row: WinnerRow) -> str:
    """``✕ broke its limit on 2 splits``; empty where it kept it."""
    return f"✕ broke its limit on {plural(row.broken, 'split')}" if row.broken else ""


def winner_rows(report: Report) -> tuple[WinnerRow, ...]:
    """Winners of every task: at the levels that were searched, else among the chosen models, then at any gap."""
    return tuple(row for s in report.scenarios for row in _of_task(report, s))


def _of_task(report: Report, scenario: Scenario) -> Iterator[WinnerRow]:
    best = () if report.levels is None else report.levels.best.get(scenario.name, ())
    yield from (_searched(scenario, b) for b in best)
    searched = {b.level for b in best}
    yield from (
        _chosen(scenario, w) for w in scenario.winners if not best or (w.level is None and "any" not in searched)
    )


def _searched(scenario: Scenario, best: Best) -> WinnerRow:
    words = level_words(best.level)
    if best.winner is None or best.reached is None:
        return WinnerRow(scenario, best.level, words, None, unknown=best.unknown)
    reached = best.reached
    kept, splits = (0, 0) if best.level == "any" else (reached.kept, reached.splits)
    return WinnerRow(
        scenario, best.level, words, best.winner, reached.interval, reached.gap_interval, kept, splits,
        best.tied, best.eligible - 1,
    )  # fmt: skip


def _chosen(scenario: Scenario, winner: Winner) -> WinnerRow:
    level = "any" if winner.level is None else f"{winner.level:.2f}"
    words = level if winner.level is None else level_words(level)
    if winner.method is None:
        return WinnerRow(scenario, level, words, None, unknown=winner.unknown)
    utility, gap = (scenario.test[winner.method.id, metric] for metric in (UTILITY, DISPARITY))
    kept, splits = (0, 0) if winner.level is None else (winner.kept, winner.splits)
    tied = tuple(Contender(m, PLAIN) for m in winner.tied)
    return WinnerRow(
        scenario, level, words, Contender(winner.method, PLAIN), utility, gap, kept, splits, tied,
        len(winner.eligible) - 1,
    )  # fmt: skip


def spread_text(value: Estimate | Interval) -> str:
    """``±0.020`` over splits; where these show no spread, the sampling interval if there is one."""
    if isinstance(value, Estimate) and math.isnan(value.half):
        return interval_text(value.inner_low, value.inner_high)
    return half_text(value.mean, value.half)


def value_and_spread(value: Estimate | Interval | None) -> str:
    """``0.750 ±0.020``; a dash without a value."""
    return "–" if value is None else f"{estimate_text(value.mean, value.half)} {spread_text(value)}".strip()
