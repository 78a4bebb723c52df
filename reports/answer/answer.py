"""The answer to one question: a table of all methods, who is recommended, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from metrics.holm import holm
from reports.answer.arrays import Arrays
from reports.answer.choice import recommended, ways
from reports.answer.enough import enough_sources, enough_splits
from reports.answer.row import AnswerRow, Lead
from reports.answer.setting import Setting
from reports.levels.claims import KEPT
from reports.levels.contenders import Contender, Id
from reports.levels.standing import rank_range
from reports.levels.transfer import Share
from reports.stats.contrasts import verdict
from reports.stats.pooled_intervals import interval_at, pooled_intervals
from reports.stats.statistics import Floats, Interval


@dataclass(frozen=True)
class Beside:
    """What is told of contenders beside utility and gap.

    Attributes
    ----------
    kept : dict
        Contender → share of task × splits that keep the level on test rows.
    procedural : [C, T, J] float
        ``fair_proc@1`` on test rows.
    measured : [C] bool
        Whether it was measured for this very model.
    seconds : dict
        Method → mean over tasks.
    """

    kept: Mapping[Id, Share]
    procedural: Floats
    measured: NDArray[np.bool_]
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Price:
    """What the limit costs: the recommended method against the one that is recommended at any gap.

    Attributes
    ----------
    free : Contender
        Recommended at any gap.
    utility : Interval
        Difference in utility on test rows.
    worst, free_worst : Interval or None
        Accuracy of the group that has the lowest, of both; None where the run does not tell it.
    """

    free: Contender
    utility: Interval
    worst: Interval | None
    free_worst: Interval | None


@dataclass(frozen=True)
class Answer:
    """The answer to one question.

    Attributes
    ----------
    setting : Setting
    rows : tuple of AnswerRow
        The methods, each in its way, those that may be recommended first, by utility on the rows that choose; then all
        other ways.
    tasks, sources : int
        Tasks that count, and the sources that they come from.
    splits : int
        Most splits that a task has.
    best, next : AnswerRow or None
        The recommended method and the one that comes next.
    steady : AnswerRow or None
        Where the recommended one keeps the level on test rows less often than ``KEPT``: the best on the rows that
        choose of all ways that keep it as often; of none does, the one that keeps it most often. Test rows say which
        it is: it describes, and chooses nothing.
    enough : int or None
        Sources (of one task: splits) that would settle the difference to the next one, if it is what was seen; None
        where it is settled, where nothing is known, and where more than ``reports.answer.enough.MOST`` are needed.
    price : Price or None
        What the limit costs; None where there is none.
    """

    setting: Setting
    rows: tuple[AnswerRow, ...]
    tasks: int
    sources: int
    splits: int
    best: AnswerRow | None
    next: AnswerRow | None
    steady: AnswerRow | None
    enough: int | None
    price: Price | None = None

    @cached_property
    def main(self) -> tuple[AnswerRow, ...]:
        """One row per method."""
        return tuple(row for row in self.rows if row.main)

    @cached_property
    def rivals(self) -> tuple[AnswerRow, ...]:
        """Methods that the recommended one is compared with: those on all tasks."""
        return tuple(row for row in self.main if row.lead is not None and row.tasks == self.tasks)

    @cached_property
    def open(self) -> tuple[AnswerRow, ...]:
        """Methods that the data cannot tell from the recommended one."""
        return tuple(row for row in self.rivals if row.lead is not None and row.lead.verdict != "worse")

    @property
    def settled(self) -> bool:
        """Whether the recommended method is surely better than all others."""
        return self.best is not None and not self.open


def answer(setting: Setting, arrays: Arrays, beside: Beside) -> Answer:
    """The answer to a question, from what all contenders reach there."""
    way = ways(arrays)
    main = list(way.values())
    able = recommended(arrays, main)
    best = able[0] if able else None
    leads = _leads(arrays, main, best)
    ranks = _ranks(arrays, [r for r in main if arrays.complete[r]])
    rows = _rows(arrays, beside, set(main), leads, ranks)
    order = [*able, *(r for r in _by_worth(arrays, main) if r not in able)]
    order += [r for r in _by_worth(arrays, range(len(arrays.contenders))) if r not in way.values()]
    following = rows[able[1]] if len(able) > 1 else None
    clusters = len(set(arrays.origin))
    return Answer(
        setting=setting,
        rows=tuple(rows[r] for r in order),
        tasks=int(arrays.covered.max(initial=0)),
        sources=clusters,
        splits=int(arrays.asked.any(axis=0).sum(axis=-1).max(initial=0)),
        best=None if best is None else rows[best],
        next=following,
        steady=None if best is None else _steady(arrays, rows, best),
        enough=None if following is None else _enough(following, clusters),
    )


def _by_worth(arrays: Arrays, rows: Sequence[int]) -> list[int]:
    """More tasks first, then higher utility on the rows that choose."""
    return sorted(rows, key=lambda r: (-int(arrays.covered[r]), -float(np.nan_to_num(arrays.worth[r], nan=-math.inf))))


def _rows(
    arrays: Arrays,
    beside: Beside,
    main: set[int],
    leads: Mapping[int, Lead],
    ranks: Mapping[int, tuple[int, int]],
) -> list[AnswerRow]:
    """All rows, in the order of the contenders."""
    cubes = (arrays.test, arrays.gap, beside.procedural)
    utility, gap, reasons = (pooled_intervals(values, arrays.sources) for values in cubes)
    made = []
    for row, contender in enumerate(arrays.contenders):
        made.append(
            AnswerRow(
                contender=contender,
                main=row in main,
                tasks=int(arrays.covered[row]),
                utility=interval_at(utility, (row,)),
                gap=interval_at(gap, (row,)),
                procedural=interval_at(reasons, (row,)) if reasons["n"][row] else None,
                measured=bool(beside.measured[row]),
                kept=beside.kept.get(contender.id),
                imputed=int(arrays.imputed[row].sum()),
                cells=int(arrays.asked[row].sum()),
                worth=float(arrays.worth[row]),
                lead=leads.get(row),
                ranks=ranks.get(row),
                seconds=beside.seconds.get(contender.method.id, math.nan),
            )
        )
    return made


def _leads(arrays: Arrays, main: Sequence[int], best: int | None) -> dict[int, Lead]:
    """Row → difference from the recommended method.

    Holm's correction runs over the methods on all tasks, over those on fewer, and over other ways, each by itself: they
    are different questions.
    """
    if best is None:
        return {}
    others = [r for r in range(len(arrays.contenders)) if r != best]
    rivals = [r for r in others if r in main and arrays.complete[r]]
    partial = [r for r in others if r in main and not arrays.complete[r]]
    further = [r for r in others if r not in main]
    return {row: lead for rows in (rivals, partial, further) for row, lead in _family(arrays, rows, best).items()}


def _family(arrays: Arrays, rows: Sequence[int], best: int) -> dict[int, Lead]:
    if not rows:
        return {}
    found = pooled_intervals(arrays.test[list(rows)] - arrays.test[best], arrays.sources)
    adjusted = holm([float(p) for p in found["p"]])
    intervals = [interval_at(found, (place,)) for place in range(len(rows))]
    return {r: Lead(i, p, verdict(i, p, up=True)) for r, i, p in zip(rows, intervals, adjusted, strict=True)}


def _ranks(arrays: Arrays, rows: Sequence[int]) -> dict[int, tuple[int, int]]:
    values = arrays.test[list(rows)]
    pairs = pooled_intervals(values[:, None] - values[None], arrays.sources)
    return {row: rank_range(pairs, place) for place, row in enumerate(rows)}


def _steady(arrays: Arrays, rows: Sequence[AnswerRow], best: int) -> AnswerRow | None:
    """See :class:`Answer`."""
    chosen = rows[best].kept
    if chosen is None or not chosen.cells or chosen.share >= KEPT:
        return None
    shares = {
        r: kept.share
        for r, row in enumerate(rows)
        if (kept := row.kept) is not None and kept.cells and arrays.complete[r] and arrays.feasible[r]
    }
    enough = [r for r, share in shares.items() if share >= KEPT]
    if enough:
        return rows[max(enough, key=lambda r: float(arrays.worth[r]))]
    most = max(shares, key=lambda r: (shares[r], float(arrays.worth[r])))
    return None if shares[most] <= shares[best] else rows[most]


def _enough(following: AnswerRow, sources: int) -> int | None:
    lead = following.lead
    if lead is None or lead.verdict == "worse" or math.isnan(lead.interval.half) or not lead.interval.half:
        return None
    interval: Interval = lead.interval
    return enough_splits(interval) if sources < 2 else enough_sources(interval, sources)
